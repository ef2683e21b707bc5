"""Groups of servers: `upstream` and its directives."""
