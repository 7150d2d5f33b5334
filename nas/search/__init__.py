"""Evaluate one candidate, run many on Ray Tune, keep the trial log."""
