"""What may be claimed of a finished search, and how surely."""
