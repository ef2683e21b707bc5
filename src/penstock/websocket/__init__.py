"""The WebSocket protocol, sans-IO: handshake, frame scanner, close and ping."""
