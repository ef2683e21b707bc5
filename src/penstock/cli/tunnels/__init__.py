"""`penstock tunnels`."""
