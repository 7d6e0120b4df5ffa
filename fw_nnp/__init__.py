"""Neural network potentials of DFT quality from cheap sampling, on FireWorks and MongoDB."""

__version__ = "0.1.0"
