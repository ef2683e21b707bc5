"""Two streams as one tunnel, in Python and compiled."""
