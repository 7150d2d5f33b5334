"""What is good: scores over measurements. Pure functions, no torch."""
