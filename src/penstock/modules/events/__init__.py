"""Event streams: what is one, how it is kept alive, how it ends."""
