"""What a cache contributes to the straight way: an answer that is kept, and good, is given without a coroutine.

Everything else - it is not there, has expired, somebody fetches it, an upgrade is asked for - is the general
transaction's, which begins at the content then: nothing has been done, and no byte sent.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING

from penstock.http.cache.entry import LONGEST_KEY
from penstock.modules.cache.give import read_head
from penstock.modules.cache.lookup import LOOKUP, CacheLookup
from penstock.modules.cache.rules import any_holds
from penstock.modules.core.http_core import HttpCore
from penstock.modules.logs.log import AccessLogs
from penstock.net.posting import LONGEST
from penstock.plan.phases import LOG
from penstock.server.head import signature
from penstock.server.straight.lines import AnswerLines
from penstock.upstream.cache.store import digest_of

if TYPE_CHECKING:
    from penstock.http.response import ResponseHead
    from penstock.modules.proxy.caching import Caching
    from penstock.plan.location import Location
    from penstock.server.straight.passage import Passage
    from penstock.server.straight.way import Way
    from penstock.upstream.cache.store import KnownFile

ASKING = frozenset(
    ("range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "upgrade")
)
"""Headers that ask for something else than all of an answer."""
OF_LOOKUPS = ("upstream_cache_",)
"""How variables begin that are asked of a `CacheLookup`."""


class Written:
    """What is sent of a small file in memory `by` one location: the first line, what stands behind Server and Date, and
    its body. Without a line: it can not be the same for all."""

    __slots__ = ("behind", "body", "by", "first", "head")

    def __init__(self, by: object, head: ResponseHead, first: str, behind: bytes, body: memoryview) -> None:
        self.by = by
        self.head = head
        self.first = first
        self.behind = behind
        self.body = body


class StraightHits:
    """How GET and HEAD requests without a body get what is kept in one location. `plain`: answers are written at once
    (`Way.plain`)."""

    __slots__ = ("_caching", "_filters", "_lines", "_mark", "_plain", "_ranges", "_rules", "_store", "_told")

    def __init__(self, caching: Caching, location: Location, *, plain: bool) -> None:
        self._caching = caching
        self._rules = rules = caching.rules
        assert rules.name.literal is not None
        self._store = rules.stores[rules.name.literal]
        self._lines = AnswerLines(caching)
        self._mark = object()
        """Stands for this in what is remembered of files, which this leads to."""
        self._ranges = location[HttpCore].max_ranges != 0
        self._filters = tuple(handler for handler, _ in location.filters)
        self._plain = plain
        logs = location[AccessLogs]
        others = (handler for handler, _ in location.phases[LOG] if getattr(handler, "__self__", None) is not logs)
        self._told = any(others) or logs.tells(OF_LOOKUPS)
        """Whether somebody may ask what was found."""

    def give(self, passage: Passage) -> None:
        """Answer a request, or let the general transaction do so. Somebody goes on with it, whatever happens."""
        caching, rules = self._caching, self._rules
        fields = passage.head.fields
        if (
            "upgrade" not in fields
            and not (rules.purge and any_holds(rules.purge, passage))
            and not (rules.bypass and any_holds(rules.bypass, passage))
        ):
            key = caching.key_of(passage)
            if key is not None and len(key) <= LONGEST_KEY:
                if (
                    self._plain
                    and passage.keep_alive
                    and passage.method == "GET"
                    and passage.head.version == 11
                    and ASKING.isdisjoint(fields)
                    and self._give_known(passage, key.encode("latin-1"))
                ):
                    return
                lookup = CacheLookup(rules, self._store, passage, key)
                if self._finds(lookup):
                    self._give_found(passage, lookup)
                    return
        passage.over(caching.pass_cached(passage))

    def _give_known(self, passage: Passage, key: bytes) -> bool:
        """Give what is in memory, and the same for all; False, and nothing done, where there is no such thing."""
        store = self._store
        digest = digest_of(key)
        known = store.remembered(digest, key)
        if known is None:
            return False
        entry = known.entry
        second = int(time())
        if entry.valid < second or entry.vary or entry.head_only:
            return False
        connection, way = passage.connection, passage.way
        written = known.written
        if type(written) is not Written or written.by is not self._mark:
            written = known.written = self._written(way, known)
        if not written.first or connection.service.draining or connection.last or passage.limit_rate is not None:
            return False
        head = f"{written.first}{signature(way.core.server_tokens)}".encode("latin-1")
        data = b"".join((head, written.behind, written.body))
        if len(data) > LONGEST or not connection.stream.post(data):
            return False
        if known.noted != second:
            store.used(digest, known, second)
        if self._told:
            lookup = CacheLookup(self._rules, store, passage, key.decode("latin-1"))
            lookup.found(known)
            passage.context(LOOKUP, lambda: lookup)
        passage.upstream_head = written.head
        passage.status = written.head.status
        passage.bytes_sent = len(data)
        passage.body_bytes_sent = len(written.body)
        passage.completed = True
        passage.done()
        return True

    def _written(self, way: Way, known: KnownFile) -> Written:
        entry = known.entry
        head = read_head(entry)
        lines = None
        if 200 <= head.status < 300 and head.status != 204:
            ranges = self._ranges and ("accept-ranges" in head.fields or self._caching.force_ranges)
            lines = self._lines.of(head, entry.body_length, ranges)
        if lines is None:
            return Written(self._mark, head, "", b"", memoryview(b""))
        first, before, after = lines
        behind = f"{before}{way.connection_line}{after}\r\n".encode("latin-1")
        return Written(self._mark, head, first, behind, memoryview(known.first)[entry.start :])

    def _finds(self, lookup: CacheLookup) -> bool:
        try:
            return lookup.glance()
        except OSError:
            return False  # it is met again, and told, on the general way

    def _give_found(self, passage: Passage, lookup: CacheLookup) -> None:
        connection = passage.connection
        passage.hold(lookup)
        passage.context(LOOKUP, lambda: lookup)
        answer = self._caching.kept(passage, lookup)
        for change in self._filters:
            change(passage, answer)
        if connection.service.draining or connection.last:
            passage.keep_alive = False
        passage.send(answer)
