"""A tunnel whose frames are read: its session, pings, limits and end."""
