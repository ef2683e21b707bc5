"""The life of a client connection: accept, head, route, phases, answer or tunnel, log."""
