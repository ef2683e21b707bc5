"""One request to one backend, and its answer."""
