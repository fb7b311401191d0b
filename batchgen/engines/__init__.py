"""Where an attempt is performed."""
