"""The configuration language: text -> tree -> settings, every message with file:line:column."""
