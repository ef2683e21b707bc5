"""An exchange over FastCGI: the request in records, the answer out of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.http.errors import BadResponse
from penstock.upstream.errors import failed
from penstock.upstream.exchange.exchange import Exchange
from penstock.upstream.exchange.outgoing import Prepared
from penstock.upstream.exchange.reading import DOING, receive
from penstock.upstream.fastcgi.framing import PREMATURE, RecordFraming, RecordHead, record_head
from penstock.upstream.fastcgi.records import CODING, STDERR, STDOUT, RecordReader, refusal

if TYPE_CHECKING:
    from penstock.http.request import Request
    from penstock.http.response import ResponseHead
    from penstock.net.stream import Stream
    from penstock.upstream.exchange.incoming import Incoming
    from penstock.upstream.exchange.outgoing import Local
    from penstock.upstream.exchange.policy import Policy
    from penstock.upstream.exchange.sending import OutgoingBody

PIECE = 16384
SHOWN = 2048
"""Bytes of STDERR in one line of the log."""


@dataclass(slots=True)
class FastCgiPrepared(Prepared):
    """`keeps`: the application is asked to leave the connection open. `caught`: what in STDERR makes an answer a bad
    one (`fastcgi_catch_stderr`)."""

    keeps: bool = False
    caught: tuple[bytes, ...] = ()


class FastCgiExchange(Exchange):
    """An `Exchange` over FastCGI; `plan.head` is all up to the body. `text` is what has come of a head, `tail` the last
    of STDERR."""

    __slots__ = ("tail", "text")
    plan: FastCgiPrepared

    def __init__(
        self, request: Request, plan: FastCgiPrepared, policy: Policy, body: OutgoingBody, bind: Local | None = None
    ) -> None:
        super().__init__(request, plan, policy, body.coded(CODING), bind)

    def _send(self, stream: Stream) -> bool:
        super()._send(stream)
        return False

    async def _head(self, stream: Stream) -> ResponseHead:
        reader = RecordReader()
        self.text = self.tail = b""
        while True:
            data = await receive(self, stream, PIECE)
            self.attempt.bytes_received += len(data)
            reader.feed(data)
            try:
                head = self._found(reader)
            except BadResponse as error:
                raise failed(f"{error.reason} while {DOING}", retry="invalid_header", cause=error) from None
            if head is not None:
                self.text = b""
                return head

    def _found(self, reader: RecordReader) -> RecordHead | None:
        """Look for a head in what has come; None while it is not whole. Raises `BadResponse`."""
        while (found := reader.next()) is not None:
            kind, content = found
            if kind == STDERR:
                self.say(content, DOING)
                self._catch(content)
                continue
            if kind != STDOUT:
                why = refusal(content)
                raise BadResponse(502, f"upstream refused the request: {why}" if why else f"{PREMATURE} request")
            if not content:
                raise BadResponse(502, f"{PREMATURE} stdout")
            seen = len(self.text)
            self.text += content
            head = record_head(self.text, seen, reader, keeps=self.plan.keeps)
            if (len(self.text) if head is None else head.length) > self.policy.head_size:
                raise BadResponse(502, "upstream sent too big header")
            if head is not None:
                reader.unread(len(self.text) - head.length)
                return head
        return None

    def open(self, head: ResponseHead) -> Incoming:
        """Go on to the body, with the records that have come with the head, and with a log for STDERR."""
        self.rest = head.reader.drain()  # type: ignore[attr-defined]
        incoming = super().open(head)
        framing = incoming.framing
        assert isinstance(framing, RecordFraming)
        framing.say = self.say
        return incoming

    def say(self, text: bytes, doing: str = "reading upstream") -> None:
        """Log what the application says in STDERR."""
        shown = text[:SHOWN].rstrip(b"\r\n. ").decode("latin-1")
        if shown:
            self.log("error", f'FastCGI sent in stderr: "{shown}" while {doing}')

    def _catch(self, content: bytes) -> None:
        """Look for what must not be in STDERR; it may come in parts. Raises `BadResponse`."""
        caught = self.plan.caught
        if not caught:
            return
        window = self.tail + content
        for each in caught:
            if each in window:
                text = each.decode("latin-1")
                raise BadResponse(502, f'upstream sent in stderr what fastcgi_catch_stderr names: "{text}"')
        longest = max(map(len, caught))
        self.tail = window[-(longest - 1) :] if longest > 1 else b""
