"""Groups, their peers, and the balancers that choose among them."""
