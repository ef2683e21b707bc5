"""Memory that processes share: zones, tables of rows, counters."""
