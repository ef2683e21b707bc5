"""Groups of peers, balancers, keep-alive pools, and the exchange with one of them."""
