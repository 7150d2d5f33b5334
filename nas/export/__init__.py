"""Architectures and weights for other tools."""
