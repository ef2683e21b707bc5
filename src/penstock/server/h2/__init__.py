"""HTTP/2 with a client."""
