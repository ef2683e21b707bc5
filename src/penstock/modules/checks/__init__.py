"""Servers that are asked how they are."""
