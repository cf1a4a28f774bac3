"""The machine that computes: device, precision, memory, matrix products."""
