"""`penstock proxy`."""
