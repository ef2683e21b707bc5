"""What is kept of accounts and certificates on disk: each file as a whole or not at all, keys for their owner alone."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from typing import TYPE_CHECKING

from cryptography import x509

if TYPE_CHECKING:
    from collections.abc import Iterator


class Busy(Exception):
    """Raised where another program is at work in this folder."""


@contextmanager
def at_work(folder: str) -> Iterator[None]:
    """Have a folder for oneself, making it if need be. Raises `Busy`, `OSError`."""
    os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103  latin-1 names, as everywhere
    fd = os.open(f"{folder}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            flock(fd, LOCK_EX | LOCK_NB)
        except OSError:
            raise Busy(folder) from None
        yield
    finally:
        os.close(fd)


def read(path: str) -> bytes | None:
    """Return a file's content; None where there is none."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    except FileNotFoundError:
        return None


def write(files: dict[str, bytes]) -> None:
    """Write files, for their owner alone: first all of them beside their places, then into their places one right after
    the other, the last one last. Raises `OSError`."""
    made = []
    try:
        for path, data in files.items():
            temporary = f"{path}.new"
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            made.append(temporary)
            try:
                os.fchmod(fd, 0o600)
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
                os.fsync(fd)
            finally:
                os.close(fd)
        for path in files:
            os.rename(f"{path}.new", path)  # noqa: PTH104
    except OSError:
        for temporary in made:
            with suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
        raise


def remove(path: str) -> None:
    """Take a file away, if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108


def lifetime(pem: bytes) -> tuple[float, float] | None:
    """Return when the first certificate of a file begins to be good and when it ends, in seconds since 1970; None for
    what holds none."""
    try:
        found = x509.load_pem_x509_certificate(pem)
    except ValueError:
        return None
    return found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp()
