"""WebSockets that outlive their backend: another one is dialled, with the handshake that the first one had."""
