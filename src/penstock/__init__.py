"""Penstock: a reverse proxy and load balancer for WebSockets that runs an nginx.conf."""

__version__ = "0.1.0"
