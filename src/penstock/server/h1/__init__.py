"""HTTP/1 with a client."""
