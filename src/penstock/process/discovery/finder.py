"""The process that follows sources of servers: a thread each, and what they find goes where all workers see it.

    source yields a text -> read as a list -> shared memory, and the file of the last good one

A source that fails, or yields what is no list, changes nothing: the last good list stays, the log says why once, and
the source is asked again after a while. A list changes once a second at most.
"""

from __future__ import annotations

import json
import random
import select
import time
from collections.abc import Callable
from threading import Thread
from typing import TYPE_CHECKING

from penstock.config.os_errors import os_failure
from penstock.modules.upstream.server_list import BadList, read_list, write_plain
from penstock.modules.upstream.servers_from import ServerSource
from penstock.net.names import lookup
from penstock.observe.errorlog import ERROR, NOTICE, WARN, report
from penstock.process.discovery.sources import SourceFailed, kind_of_lists
from penstock.shared.versioned_text import TooMuch
from penstock.shared.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.modules.upstream.upstream import Upstreams
    from penstock.shared.server_lists import ServerLists
    from penstock.upstream.names.listed import ListedServer

LEAST = 1.0
"""Seconds between two changes of a list, at least."""
SOON, LATE = 1.0, 30.0
"""Seconds until a source that failed is asked again: at first, and at most."""


def sources_of(upstreams: Upstreams) -> list[ServerSource]:
    """Return the sources of all groups, each once."""
    found: dict[str, ServerSource] = {}
    for member in upstreams.listed:
        if isinstance(member.source, ServerSource):
            found.setdefault(member.text, member.source)
    return list(found.values())


def follow_all(every: Iterable[Upstreams], life: int) -> None:
    """Follow all sources until the other end of the pipe `life` is closed."""
    for each in every:
        for source in sources_of(each):
            assert each.lists is not None
            Thread(target=Following(source, each.lists).run, name=source.text, daemon=True).start()
    select.select([life], [], [])


class Following:
    """One source, and the lists that it goes to."""

    def __init__(self, source: ServerSource, lists: ServerLists, sleep: Callable[[float], None] = time.sleep) -> None:
        self._source = source
        self._lists = lists
        self._sleep = sleep
        self._trouble = ""
        self._wait = SOON
        self._texts = kind_of_lists(source)(source)

    def run(self) -> None:
        """Follow it for ever."""
        while True:
            self._sleep(self.step())

    def step(self) -> float:
        """Wait for the next list and publish it, or note why there is none. Return how long to wait afterwards."""
        try:
            text = self._texts.wait()
            servers = read_list(text, self._source.text, lookup)
        except (SourceFailed, BadList) as failure:
            self._failed(str(failure))
            wait, self._wait = self._wait, min(LATE, self._wait * 2)
            return wait * (0.75 + 0.5 * random.random())
        self._wait = SOON
        if not servers and not self._source.may_be_empty:
            self._failed("the list is empty; with empty=allow that would count")
            return LEAST
        self._publish(servers)
        return LEAST

    def _failed(self, why: str) -> None:
        if why != self._trouble:
            self._trouble = why
            report(None, ERROR, f"servers from {self._source.text}: {printable(why)}; the last good list stays")

    def _publish(self, servers: tuple[ListedServer, ...]) -> None:
        plain = write_plain(servers)
        lists, name = self._lists, self._source.text
        with lists:
            state = lists.read()
            before = state.get(name, {}).get("servers")
            if before != plain:
                try:
                    lists.write({**state, name: {"servers": plain}})
                except TooMuch as error:
                    self._failed(str(error))
                    return
        if self._trouble:
            report(None, NOTICE, f"servers from {name}: they are told again")
            self._trouble = ""
        if before == plain:
            return
        report(None, NOTICE, f"servers from {name}: {len(servers)}{_difference(before, plain)}")
        if self._source.kept:
            self._keep(servers)

    def _keep(self, servers: tuple[ListedServer, ...]) -> None:
        rows = [{"server": address, **options} for address, options in write_plain(servers)]
        path = self._source.kept
        try:
            write_whole(path, json.dumps(rows, indent=1).encode("ascii"))
        except OSError as error:
            report(None, WARN, f"{os_failure('open()', error, path)}; without it, a start has to wait for the source")


def _difference(before: list[list[object]] | None, after: list[list[object]]) -> str:
    if before is None:
        return ""
    old, new = ({str(address) for address, _ in each} for each in (before, after))
    words = [f"+{address}" for address in sorted(new - old)[:5]] + [f"-{address}" for address in sorted(old - new)[:5]]
    return f" ({printable(' '.join(words))})" if words else " (other parameters)"


def printable(text: str) -> str:
    """Return a text of somebody else's for the log: in one line, without control characters, and not too long."""
    return "".join(char if char.isprintable() and char.isascii() else "?" for char in text[:300])
