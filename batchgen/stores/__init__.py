"""Where image bytes go."""
