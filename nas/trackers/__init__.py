"""Callbacks that show or record a search or a training."""
