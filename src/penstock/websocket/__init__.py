"""The WebSocket protocol, sans-IO: handshake, frames, directions and their rules, close and ping."""
