"""Which of the compiled parts are used: all that the package was built with, unless somebody wants Python's halves."""

from __future__ import annotations

import os

VARIABLE = "PENSTOCK_RELAY"
"""`python` leaves out everything that is compiled; `c` insists on the relay's twin (net/relay/compiled.py)."""


def are_wanted() -> bool:
    """Return whether compiled parts may be used where there are some."""
    return os.environ.get(VARIABLE, "") != "python"
