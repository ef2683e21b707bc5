"""Files that other programs, and later starts, read: as a whole, or as they were before."""

from __future__ import annotations

import os
from contextlib import suppress


def write_whole(path: str, data: bytes) -> None:
    """Write a file as a whole or not at all, for its owner to write and all to read. Raises `OSError`."""
    folder = os.path.dirname(path)
    if folder:
        os.makedirs(folder.encode("latin-1"), mode=0o755, exist_ok=True)  # noqa: PTH103
    partly = f"{path}.{os.getpid()}".encode("latin-1")
    fd = os.open(partly, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partly, path.encode("latin-1"))  # noqa: PTH105
    except OSError:
        with suppress(OSError):
            os.unlink(partly)  # noqa: PTH108
        raise
