"""Looking at a WebSocket from outside, step by step."""
