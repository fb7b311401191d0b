"""What happened: the durable record of tasks, attempts and spend."""
