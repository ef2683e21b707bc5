"""Follows the sources of lists of servers (`servers_from`), in a process beside the workers."""
