"""Tunnels that move to another process."""
