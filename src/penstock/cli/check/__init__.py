"""`penstock check`."""
