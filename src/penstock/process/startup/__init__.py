"""From a command line to bound sockets, open logs and dropped privileges."""
