"""The words for an error of the operating system, as nginx writes them: `(2: No such file or directory)`."""

from __future__ import annotations

import os
from errno import ETIMEDOUT


def os_reason(error: OSError | int) -> str:
    """Return the number and the words of an error: `2: No such file or directory`. `error` may be a bare number."""
    if isinstance(error, int):
        return f"{error}: {os.strerror(error)}"
    if error.errno is None:
        # Python raises some without a number: a `TimeoutError` of its own, or one that was made from a text.
        return os_reason(ETIMEDOUT) if isinstance(error, TimeoutError) else str(error) or type(error).__name__
    return f"{error.errno}: {error.strerror or os.strerror(error.errno)}"


def os_failure(call: str, error: OSError | int, path: str | None = None, *, doing: str = "") -> str:
    """Return nginx's sentence for a call that failed: `open() "/path" failed (2: No such file or directory)`.

    `doing` stands before the reason: `fork() failed while spawning "worker process" (12: Cannot allocate memory)`.
    """
    named = call if path is None else f'{call} "{path}"'
    return f"{named} failed {doing}{' ' if doing else ''}({os_reason(error)})"
