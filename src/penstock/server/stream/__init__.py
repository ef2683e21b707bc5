"""Streams: what becomes of a connection that is passed on as it is."""
