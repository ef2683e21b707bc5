"""Sources of servers: each waits for its next list, and gives it as a text that `server_list.read_list` reads."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

from penstock.config.inputs import stamp_of
from penstock.config.os_errors import os_reason
from penstock.modules.upstream.server_list import LONGEST
from penstock.modules.upstream.servers_from import CONSUL, CONSUL_TLS, DOCKER, FILE, REDIS, REDIS_TLS, ServerSource

LOOK = 0.2
"""Seconds between two looks at a file."""
SETTLED = 5.0
"""Seconds after which a file is read that does not come to rest."""


class SourceFailed(Exception):
    """Raised where a source gives no list; the text says why, and what to do where that is known."""


class Lists(Protocol):
    """A source of lists."""

    def wait(self) -> str:
        """Wait for the next list, the first one at once. Raises `SourceFailed`."""


class FileLists:
    """A file that is read again when it changes. One that is replaced by a rename is read as a whole; one that is
    written in place is read `debounce` seconds after it has come to rest."""

    def __init__(self, source: ServerSource, sleep: Callable[[float], None] = time.sleep) -> None:
        self._path = source.place
        self._debounce = source.debounce
        self._sleep = sleep
        self._stamp: object = self

    def wait(self) -> str:
        """Wait for the file to change, and read it. Raises `SourceFailed`."""
        while (stamp := stamp_of(self._path)) == self._stamp:
            self._sleep(LOOK)
        left = SETTLED
        while left > 0:
            self._sleep(self._debounce)
            left -= max(self._debounce, 0.01)
            before, stamp = stamp, stamp_of(self._path)
            if stamp == before:
                break
        self._stamp = stamp
        return read_text(self._path)


def read_text(path: str) -> str:
    """Read a file of a bounded size. Raises `SourceFailed`."""
    try:
        with open(path.encode("latin-1"), "rb") as file:  # noqa: PTH123  bytes
            data = file.read(LONGEST + 1)
    except OSError as error:
        raise SourceFailed(f'"{path}" can not be read: {os_reason(error)}') from None
    return data.decode("latin-1")


_ROOMS = {
    CONSUL: ("consul", "ConsulLists"),
    CONSUL_TLS: ("consul", "ConsulLists"),
    DOCKER: ("docker", "DockerLists"),
    REDIS: ("redis_list", "RedisLists"),
    REDIS_TLS: ("redis_list", "RedisLists"),
}
"""What follows a source, by its kind: workers need nothing of it, nor of the libraries that it imports."""


def kind_of_lists(source: ServerSource) -> Callable[[ServerSource], Lists]:
    """Return what makes the lists of a source. It is imported now. The master calls this before it forks, so that the
    new process goes on as the version that it is. Raises `ImportError`."""
    if source.kind == FILE:
        return FileLists
    room, name = _ROOMS[source.kind]
    # Any: a class of one of these modules.
    made: Any = getattr(import_module(f"penstock.process.discovery.{room}"), name)
    return made  # type: ignore[no-any-return]
