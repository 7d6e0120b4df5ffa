"""Which steps, in which order, on which workers."""
