"""`penstock upstreams` and `penstock drain`: what becomes of servers, and changing that while the proxy runs."""
