"""`penstock explain`."""
