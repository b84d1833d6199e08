"""What is told to a reader alone, because it came to see more, or less."""
