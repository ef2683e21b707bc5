"""Paths of files that variables have a part in: nothing that a request brings climbs out of what a directive names.

A path of a request has no ".." left, but an argument, a capture of a rewritten path or a name that `alias` is glued to
may have. ".." that the configuration has written itself counts.
"""

from __future__ import annotations

import re

from penstock.http.request import Request
from penstock.observe.errorlog import ERROR, report

_UP = re.compile(r"(?:^|(?<=/))\.\.(?=/|\Z)")


def ups(text: str) -> int:
    """Count how often a path goes to the folder above."""
    return len(_UP.findall(text)) if ".." in text else 0


def within(request: Request, path: str, written: int) -> str:
    """Return the path, or one that is nowhere if it goes up more often than the configuration has `written`."""
    if ".." not in path or len(_UP.findall(path)) <= written:
        return path
    report(request, ERROR, f'".." in the path "{path}" comes from the request, and is percent-encoded')
    return _UP.sub("%2E%2E", path)
