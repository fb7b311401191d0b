"""What a content team wrote -> a job and a lazy stream of tasks; every problem with its place."""
