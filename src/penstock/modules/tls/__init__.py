"""TLS toward clients: the ssl_ directives."""
