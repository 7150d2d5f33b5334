"""One network trained for some epochs."""
