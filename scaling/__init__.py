"""How a winner grows: architecture in, architectures out. No torch."""

from scaling.grow import scale as scale
