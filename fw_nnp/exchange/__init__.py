"""Files of labelled configurations: extxyz, HDF5, ASE database and mlearn JSON, no database."""

from .description import FileDescription, StressDescription, load_description
from .files import foreign_theory, read_labelled, write_labelled

__all__ = [
    "FileDescription",
    "StressDescription",
    "foreign_theory",
    "load_description",
    "read_labelled",
    "write_labelled",
]
