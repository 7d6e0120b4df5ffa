"""One file per package that is timed: how it trains or predicts on the benchmark's cells.

Each runs in an environment of its own (see `install`), so nothing here may import the others.
"""
