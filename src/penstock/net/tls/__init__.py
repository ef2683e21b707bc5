"""TLS on a socket, and what of OpenSSL Python's ssl does not show."""
