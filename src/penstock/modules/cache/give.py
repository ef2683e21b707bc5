"""Giving what is kept: the answer out of a file (nginx: ngx_http_cache_send)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.http.cache.answer import KeptAnswer
from penstock.http.request import Answer, FilePart, special
from penstock.upstream.exchange.wire import HTTP1

if TYPE_CHECKING:
    from penstock.http.cache.entry import CacheEntry
    from penstock.http.request import Request
    from penstock.http.response import ResponseHead
    from penstock.modules.cache.lookup import CacheLookup


def head_of(lookup: CacheLookup) -> ResponseHead:
    """Read the head of what has been found."""
    assert lookup.opened is not None
    return read_head(lookup.opened.entry)


def read_head(entry: CacheEntry) -> ResponseHead:
    """Read the head of what is kept. The same head again is not read again."""
    head = HTTP1.read_head(entry.head, 0)
    assert head is not None
    return head


def kept_answer(request: Request, lookup: CacheLookup, head: ResponseHead) -> KeptAnswer:
    """Make the answer, but for the headers that the location passes on."""
    opened = lookup.opened
    assert opened is not None
    entry = opened.entry
    request.upstream_head = head
    answer = KeptAnswer(head.status)
    answer.from_upstream = True
    answer.conditional = True
    answer.reason = head.status_line[4:]
    count = entry.body_length
    answer.length = head.content_length if entry.head_only else count
    start = entry.start
    if start + count <= len(opened.first):
        answer.body = opened.first[start : start + count]
    else:
        answer.body = FilePart(opened, start, count)
    if "accept-ranges" in head.fields:
        answer.allow_ranges = True
    return answer


def error_answer(lookup: CacheLookup) -> Answer:
    """Make the answer where a status is all that is kept."""
    return special(lookup.error)
