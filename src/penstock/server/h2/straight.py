"""A request of HTTP/2 on the straight way: as one of HTTP/1.1, from its head to its answer without a coroutine.

What differs is who it belongs to, a stream instead of a connection, and how its answer is written.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING

from penstock.http.dates import http_date
from penstock.http.h2.fields import HOP_BY_HOP, content_length, field, status
from penstock.http.request import Answer
from penstock.modules.http2 import Http2
from penstock.server.h2.send import send_answer
from penstock.server.head import product
from penstock.server.straight.begun import sent
from penstock.server.straight.passage import Passage, model_of
from penstock.shared.alike import like

if TYPE_CHECKING:
    from penstock.http.response import ResponseHead
    from penstock.server.h2.request_connection import View
    from penstock.server.straight.content import StraightProxy
    from penstock.server.straight.lines import Lines
    from penstock.upstream.peers.keepalive import KeptConnection


class StreamPassage(Passage):
    """A request of HTTP/2 on the straight way."""

    __slots__ = ()

    connection: View  # type: ignore[assignment]

    def _post(self, head: ResponseHead, body: bytes, line: KeptConnection) -> bool:
        """Write an answer, head and body; False, and nothing done, where that is not enough."""
        way = self.way
        fields = fields_of(way.content, head)
        if fields is None or not self.keep_alive:
            return False
        first, others = fields
        lane = self.connection.stream
        block = first + _signature(way.core.server_tokens) + others
        lane.chunk = self.location[Http2].chunk_size
        if not lane.session.answer(lane, block, body):
            return False
        self.status = head.status
        self.bytes_sent = lane.wire_sent
        size = len(body)
        self.body_bytes_sent = size + 9 if size else 0
        self.completed = True
        self._give_back(line, reusable=head.keep_alive)
        self.done()
        return True

    def send(self, answer: Answer) -> None:
        self.over(sent(send_answer(self, answer, self.connection.stream)))


_signed: tuple[int, str, bytes] = (0, "", b"")


def _signature(tokens: str) -> bytes:
    """The fields `server` and `date`, the same for all answers of a second."""
    global _signed
    now = int(time())
    if _signed[0] != now or _signed[1] != tokens:
        _signed = now, tokens, field("server", product(tokens)) + field("date", http_date(now))
    return _signed[2]


def fields_of(content: StraightProxy, head: ResponseHead) -> tuple[bytes, bytes] | None:
    """Encode an answer's head: what stands before the fields of ours, and behind them. None where it asks for more than
    to be passed on as it is."""
    made = head.written
    if made is None or made.by is not content.mark:
        lines = content.lines(head)
        if lines is None:
            return None
        if not head.shared:
            return _encoded(head.status, lines)
        made = head.written
    found: tuple[bytes, bytes] | None = made.fields
    if found is None:
        found = made.fields = _encoded(head.status, made.lines)
    return found


def _encoded(code: int, lines: Lines) -> tuple[bytes, bytes]:
    _, before, after = lines
    others = []
    for line in (before + after).split("\r\n")[:-1]:
        name, _, value = line.partition(": ")
        name = name.lower()
        if name == "content-length":
            others.append(content_length(int(value)))
        elif name not in HOP_BY_HOP:
            others.append(field(name, value))
    return status(code), b"".join(others)


another_stream_passage = like(model_of(StreamPassage))
