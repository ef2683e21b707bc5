"""Asking all workers to show what passes, and reading what they say, line by line, until the end."""

from __future__ import annotations

import json
import selectors
import socket
from collections.abc import Iterator, Mapping
from time import monotonic
from typing import Any, TypeAlias

from penstock.process.asking import PATIENCE, NobodyThere
from penstock.process.worker.control import paths_in

Told: TypeAlias = dict[str, Any]  # JSON of another process
"""A line that a worker says: `server/tap/session.py` has its forms."""

LONGEST_LINE = 4 << 20
LOOK = 1.0
"""Seconds after which new workers are looked for."""


class _Worker:
    """A worker that was asked."""

    def __init__(self, path: str, question: Mapping[str, object]) -> None:
        """Raises `OSError`."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.rest = b""
        try:
            self.sock.settimeout(PATIENCE)
            self.sock.connect(path.encode("latin-1"))
            self.sock.sendall(json.dumps(question).encode() + b"\n")
            self.sock.setblocking(False)
        except BaseException:
            self.sock.close()
            raise

    def lines(self) -> list[Told] | None:
        """Read what is there; None at the end. Raises `ValueError` where that is no line of ours."""
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        *whole, self.rest = (self.rest + data).split(b"\n")
        if len(self.rest) > LONGEST_LINE:
            raise ValueError("a line of a worker is too long")
        return [json.loads(line) for line in whole]


def follow(folder: str, question: Mapping[str, object], seconds: float | None) -> Iterator[tuple[str, Told]]:
    """Give what the workers say, each with the worker's name; ("", {}) now and then where nobody says anything. Workers
    that begin meanwhile are asked too. Raises `NobodyThere`, and `ValueError` with a worker's words."""
    until = None if seconds is None else monotonic() + seconds
    asked: dict[str, _Worker | None] = {}
    watched = selectors.DefaultSelector()
    try:
        while True:
            now = monotonic()
            _ask_new(folder, question, asked, watched, None if until is None else until - now)
            if not watched.get_map():
                if not asked:
                    raise NobodyThere(f"no worker answers in {folder}: the proxy does not run")
                return
            wait = LOOK if until is None else min(LOOK, max(0.0, until - now) + PATIENCE)
            ready = watched.select(wait)
            if not ready:
                yield "", {}
            for key, _ in ready:
                name, worker = key.data
                found = worker.lines()
                if found is None:
                    watched.unregister(worker.sock)
                    worker.sock.close()
                    asked[name] = None
                    continue
                for told in found:
                    if "error" in told:
                        raise ValueError(str(told["error"]))
                    yield name, told
            if until is not None and monotonic() >= until + PATIENCE:
                return
    finally:
        for worker in asked.values():
            if worker is not None:
                worker.sock.close()
        watched.close()


def _ask_new(
    folder: str,
    question: Mapping[str, object],
    asked: dict[str, _Worker | None],
    watched: selectors.DefaultSelector,
    left: float | None,
) -> None:
    """Ask the workers that were not asked yet, for the time that is left."""
    if left is not None and left <= 0:
        return
    try:
        paths = paths_in(folder)
    except OSError:
        paths = []
    for path in paths:
        name = path.rpartition("/")[2]
        if name in asked:
            continue
        try:
            worker = _Worker(path, question if left is None else {**question, "seconds": left})
        except (ConnectionRefusedError, FileNotFoundError):
            continue  # it is gone, and its socket will be
        except OSError as error:
            raise NobodyThere(f"{path}: {error.strerror or error}") from None
        asked[name] = worker
        watched.register(worker.sock, selectors.EVENT_READ, (name, worker))
