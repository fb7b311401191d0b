"""What end-to-end tests share: a paid provider of another make, and the command line as a user types it."""
