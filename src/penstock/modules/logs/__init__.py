"""Access logs, and pages about the proxy's state."""
