"""What is counted, and where it lives."""
