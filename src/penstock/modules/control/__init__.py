"""Seeing and steering the program over HTTP: `api`, `dashboard`."""
