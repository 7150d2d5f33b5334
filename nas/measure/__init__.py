"""The only timing code: step time, reference, device lock, memory."""
