"""Master, workers, signals, reload."""
