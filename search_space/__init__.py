"""What exists: architecture records, ops, networks, costs, search spaces and published families."""
