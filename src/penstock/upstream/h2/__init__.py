"""HTTP/2 toward backends."""
