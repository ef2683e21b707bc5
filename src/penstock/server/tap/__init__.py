"""Looking on: what `penstock tap` shows of tunnels and event streams."""
