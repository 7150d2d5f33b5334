"""Trial log -> tables, best, Pareto front, report."""
