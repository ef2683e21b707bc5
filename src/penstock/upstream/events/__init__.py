"""An answer that is a stream of events, on its way from a backend to a client."""
