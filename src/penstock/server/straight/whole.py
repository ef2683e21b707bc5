"""Answers that came whole, with their heads, as small ones nearly always do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.http.errors import BadResponse
from penstock.upstream.exchange.framing import ChunkedFraming

if TYPE_CHECKING:
    from penstock.http.head import RequestHead
    from penstock.http.response import ResponseHead


def whole_body(sent: RequestHead, head: ResponseHead, rest: bytes) -> bytes | None:
    """Return the body of an ordinary answer to what was sent, decoded, where `rest` is all that comes behind its head.

    None where more is to come, or where something is unusual, for who can wait and explain."""
    ordinary = head.ordinary
    if ordinary is None:
        ordinary = head.ordinary = (
            200 <= head.status < 300
            and head.status != 204
            and head.version != 9
            and not head.dropped
            and "x-accel-redirect" not in head.fields
        )
    if not ordinary or "upgrade" in sent.fields:
        return None
    if sent.method == "HEAD":
        return None if rest else b""
    if head.content_length == len(rest):
        return rest
    return _decoded(rest) if head.chunked else None


def _decoded(rest: bytes) -> bytes | None:
    framing = ChunkedFraming()
    try:
        body = framing.feed(rest)
    except BadResponse:
        return None
    return body if framing.done and not framing.surplus and not framing.trailers else None
