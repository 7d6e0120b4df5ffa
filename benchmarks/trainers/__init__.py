"""Packages that train a potential, each with its own trainer, in an environment of its own."""
