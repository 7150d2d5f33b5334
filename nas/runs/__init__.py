"""What a run folder is: its logs, its records, its configuration."""
