"""The process that looks after caches: what is in them, and how much."""
