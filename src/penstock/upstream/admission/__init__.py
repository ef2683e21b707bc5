"""Handshakes that are let in at a bounded rate, so that a storm does not end what it comes back to."""
