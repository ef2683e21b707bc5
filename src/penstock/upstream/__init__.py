"""Groups and peers, balancers, connections that are kept, and the exchange of one request with a backend."""
