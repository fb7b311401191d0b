"""What is sent and said, held against the official document."""
