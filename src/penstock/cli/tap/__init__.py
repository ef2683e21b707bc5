"""`penstock tap`."""
