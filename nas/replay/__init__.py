"""Finished logs as benchmarks of search algorithms."""
