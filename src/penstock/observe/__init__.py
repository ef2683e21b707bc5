"""Access and error logs, counters, what is alive."""
