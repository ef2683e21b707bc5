"""Who may: addresses, passwords, limits, subrequests that decide."""
