"""`penstock init`."""
