"""The only floor with sockets: loop, stream, TLS, listener, dial, relay."""
