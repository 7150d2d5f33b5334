"""Families of sizes: what their steps cost, and how to train them."""
