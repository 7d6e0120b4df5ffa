"""What the two speed benchmarks share: cells, workers, rounds, table."""
