"""Frozen: what to do with a connection and a request; matching of servers and locations."""
