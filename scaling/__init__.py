"""How a winner grows: architecture in, architectures out. No torch."""
