"""Keeping a backend's answer while it is passed on (nginx: ngx_http_upstream_send_response, its part about the cache).
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING

from penstock.http.cache.entry import LONGEST_ETAG, CacheEntry
from penstock.http.cache.freshness import judge
from penstock.http.dates import parse_date
from penstock.modules.cache.rules import any_holds
from penstock.observe.errorlog import CRIT, report
from penstock.upstream.cache.filling import Filling
from penstock.upstream.cache.keeping import Keeping
from penstock.upstream.exchange.temp_file import CannotKeep
from penstock.upstream.exchange.wire import BODILESS

if TYPE_CHECKING:
    from penstock.http.cache.answer import KeptAnswer
    from penstock.http.request import Request
    from penstock.http.response import ResponseHead
    from penstock.modules.cache.lookup import CacheLookup
    from penstock.upstream.cache.store import CacheStore
    from penstock.upstream.exchange.exchange import Exchange

NOT_KEPT = frozenset({"transfer-encoding", "connection", "keep-alive", "trailer", "upgrade", "status"})
"""Headers that concern one hop, or what the answer was in."""


class AnswerKeeper:
    """Keeps the answer to one request, if it may be kept. `buffering`: whether the location lets answers be kept."""

    __slots__ = ("_lookup", "_request")

    def __init__(self, request: Request, lookup: CacheLookup) -> None:
        self._request = request
        self._lookup = lookup

    def intercepted(self, head: ResponseHead) -> None:
        """Note that a page of ours stands in place of an answer."""
        lookup = self._lookup
        said = judge(head.headers, lookup.rules.ignored, int(time()))
        if lookup.keeps and said.keeps:
            lookup.failed(head.status, said.valid)

    def keep_answer(self, exchange: Exchange, head: ResponseHead, answer: KeptAnswer, *, buffering: bool) -> bool:
        """Give the answer its body, and keep it. Return False where it is not to be kept, with nothing done."""
        lookup, request = self._lookup, self._request
        rules = lookup.rules
        now = int(time())
        said = judge(head.headers, rules.ignored, now)
        span = 0 if said.valid else rules.valid_for(head.status)
        valid = said.valid or (now + span if span else 0)
        if not (lookup.keeps and buffering and said.keeps and valid) or any_holds(rules.no_cache, request):
            lookup.release()
            return False
        asked_head = exchange.plan.asked == "HEAD"
        digest, variant, family = lookup.place_for(said.vary)
        entry = CacheEntry(
            lookup.key,
            _head(head),
            valid,
            now,
            said.updating,
            said.error,
            vary=said.vary.encode("latin-1"),
            variant=variant,
            family=family,
            head_only=asked_head,
        )
        if head.status in (200, 206):
            modified = parse_date(head.fields.get("last-modified", ""))
            entry.last_modified = -1 if modified is None else modified
            etag = head.fields.get("etag", "").encode("latin-1")
            entry.etag = etag if len(etag) <= LONGEST_ETAG else b""
        store = lookup.store
        claim = lookup.hand_on()
        try:
            folder = store.temporary or rules.folder
            assert folder is not None
            keeping = Keeping(store, folder, digest, entry, lambda: _release(store, claim))
        except CannotKeep as error:
            report(request, CRIT, f"{error}, while an upstream response was put into the cache")
            _release(store, claim)
            return False
        if "accept-ranges" in head.fields:
            answer.allow_ranges = True
            answer.drop("accept-ranges")
        answer.conditional = True
        rest = exchange.rest
        whole = head.content_length == len(rest) or asked_head or head.status in BODILESS
        if whole and not (asked_head or head.status in BODILESS):
            exchange.attempt.length = len(rest)
            exchange.release(reusable=head.keep_alive)
            self._whole(keeping, rest, now)
            answer.body = rest
            return True
        incoming = exchange.open(head)
        first = incoming.now()
        if incoming.framing.done:
            self._whole(keeping, first, now)
            answer.body = first
            return True
        body = Filling(incoming, first, keeping)
        request.hold(body)
        answer.body = body
        return True

    def _whole(self, keeping: Keeping, body: bytes, now: int) -> None:
        try:
            try:
                keeping.append(body)
                keeping.complete(now)
            finally:
                keeping.close()
        except CannotKeep as error:
            report(self._request, CRIT, f"{error}, while an upstream response was put into the cache")


def _release(store: CacheStore, claim: tuple[bytes, float]) -> None:
    digest, until = claim
    if digest:
        store.index.release(digest, until)


def _head(head: ResponseHead) -> bytes:
    lines = [f"HTTP/1.1 {head.status} {head.status_line[4:]}"]
    lines += [f"{name}: {value}" for name, value in head.headers if name.lower() not in NOT_KEPT]
    return "\r\n".join((*lines, "\r\n")).encode("latin-1")
