"""Other ways to make the same images, each a program of its own: `python PROGRAM BASE_URL FOLDER TASKS CONCURRENCY`."""
