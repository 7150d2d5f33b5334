"""How we find out: data, training, step time, search, log and report."""
