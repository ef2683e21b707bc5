"""The master: children, reload, upgrade."""
