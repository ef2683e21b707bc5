"""Putting a configuration right."""
