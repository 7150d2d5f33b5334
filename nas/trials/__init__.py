"""What a worker does with one candidate. No ray."""
