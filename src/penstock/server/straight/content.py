"""What `proxy_pass` contributes to the straight way: the head that a backend gets, and the lines of its answer that a
client gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.http.chunked import LAST_CHUNK, encode_chunk
from penstock.modules.proxy.head import build_uri
from penstock.modules.proxy.request_line import target_of
from penstock.modules.websocket.websocket import asks, has_refused
from penstock.server.head import signature
from penstock.server.straight.last import CLOSES
from penstock.server.straight.lines import AnswerLines
from penstock.upstream.exchange.outgoing import Prepared

if TYPE_CHECKING:
    from penstock.http.request import Request
    from penstock.http.response import ResponseHead
    from penstock.modules.proxy.head import HeadTemplate, WriteHead
    from penstock.modules.proxy.proxy import Proxy
    from penstock.modules.proxy.targets import Destination
    from penstock.server.straight.lines import Lines
    from penstock.server.straight.passage import Passage


class WrittenAnswer:
    """What is remembered of an answer's head that comes again: `by` whose location its `lines` were written, and
    `data`, all of them with what is ours, on a connection that is kept, from a second's beginning to its end. `fields`
    are for HTTP/2."""

    __slots__ = ("by", "data", "fields", "lines", "since", "until")

    def __init__(self, by: object, lines: Lines) -> None:
        self.by = by
        self.lines = lines
        self.data = b""
        self.since = self.until = 0.0
        self.fields: tuple[bytes, bytes] | None = None

    def exchanged(self, old: str, new: str) -> WrittenAnswer:
        """Return what is written of a head that differs in one value only."""
        first, before, after = self.lines
        return WrittenAnswer(self.by, (first, before, after.replace(old, new)))


class StraightProxy:
    """How GET and HEAD requests without a body go through one `proxy_pass`, as `Proxy.prepare` has them."""

    __slots__ = (
        "_handshake",
        "_host",
        "_lines",
        "_passes_upgrade",
        "_plain",
        "_proxy",
        "_uri",
        "_usual",
        "_written",
        "mark",
        "may_tear",
        "simple",
        "there",
    )

    def __init__(self, proxy: Proxy, there: Destination) -> None:
        written = proxy.target
        assert written is not None
        self._proxy = proxy
        self.mark = object()
        """What stands for this in `WrittenAnswer`, which may outlive the plan."""
        self.there = there
        self._written = written
        self._uri = there.target.uri
        self._host = there.host_header
        heads = proxy.heads
        self._lines = AnswerLines(proxy)
        self._usual = self._writer(proxy.head)
        self._plain = self._writer(proxy.plain if heads is None else heads.plain)
        self._handshake = None if heads is None else self._writer(heads.handshake)
        self._passes_upgrade = proxy.head.passes_upgrade
        pool = there.group.pool
        self.may_tear = proxy.may_tear and pool is not None and not pool.options.written and heads is None
        """Whether a connection could be `torn`."""
        self.simple = None if self._uri else self._usual if heads is None else self._plain
        """What writes the heads of requests that ask for no upgrade, and of which no module keeps anything; None where
        their URI is changed."""

    def _writer(self, template: HeadTemplate) -> WriteHead:
        return template.writer(self._host)

    def sources(self, name: str) -> dict[str, str]:
        """Write the sources of what writes heads, for people: by which requests they are for. `name` is the name of the
        first, and the beginning of the others'."""
        proxy = self._proxy
        heads = proxy.heads
        if heads is not None:
            found = {"every request but a handshake": heads.plain, "a handshake for a WebSocket": heads.handshake}
        else:
            found = {"every request": proxy.head}
            if proxy.plain is not proxy.head:
                found["a request whose handshake was refused"] = proxy.plain
        names = (name, f"{name}_other")
        return {
            title: template.source(self._host, {}, each)
            for each, (title, template) in zip(names, found.items(), strict=False)
        }

    def head(self, request: Request) -> bytes:
        """Write the head of a request as its backend gets it. Raises `ProxyError`."""
        if request.method != "GET":
            return self._proxy.prepare(request, self.there, None, chunked=False).head
        sent = request.head
        uri = sent.target if not self._uri else self._changed(request)
        proxy = self._proxy
        if "upgrade" in sent.fields:
            if self._handshake is not None:
                write = self._handshake if asks(request) and not _goes_plain(request) else self._plain
            elif request.contexts is not None and proxy.may_upgrade and has_refused(request):
                write = self._plain
            else:
                write = self._usual
                if not (self._passes_upgrade and sent.fields["upgrade"]) and not proxy.head.sends(request, "upgrade"):
                    proxy.upgrade_lost(request)
        elif self._handshake is not None or (
            request.contexts is not None and proxy.may_upgrade and has_refused(request)
        ):
            write = self._plain
        else:
            write = self._usual
        return write(request, uri)

    def _changed(self, request: Request) -> str:
        uri = build_uri(request, self._uri, self._written.location, variables=False)
        if uri.isprintable() and " " not in uri:
            return uri
        return target_of(request, uri, self._written.span)

    def prepared(self, request: Request, head: bytes) -> Prepared:
        """Describe a request that has been written like this, for who goes on with it."""
        target = self.there.target
        method = request.method
        start = len(method) + 1
        uri = head[start : head.index(b" ", start)].decode("latin-1")
        return Prepared(self.there.group, head, method, (target.scheme, uri), torn=self.torn(request))

    def torn(self, request: Request) -> bool:
        """Return whether the connection is none that could be kept after this request (`Prepared.torn`)."""
        proxy = self._proxy
        if not self.may_tear:
            return False
        if proxy.may_upgrade and _goes_plain(request):
            return False
        return proxy.head.tears(request)

    def lines(self, head: ResponseHead) -> Lines | None:
        """Return the lines of an answer that are passed on as they are; None where one asks for more than that."""
        made: WrittenAnswer | None = head.written
        if made is not None and made.by is self.mark:
            return made.lines
        found = self._lines.of(head, None if head.status == 101 else head.content_length)
        if found is not None and head.shared:
            head.written = WrittenAnswer(self.mark, found)
        return found

    def answer(self, passage: Passage, head: ResponseHead, body: bytes, now: float) -> bytes:
        """Write an answer, head and body, at a time of day; b"" where a line of it asks for more than that."""
        lines = self.lines(head)
        if lines is None:
            return b""
        way = passage.way
        first, before, after = lines
        chunked = head.chunked and passage.method != "HEAD"
        if chunked:
            if not way.core.chunked_transfer_encoding:
                return b""  # it ends with the connection
            before += "Transfer-Encoding: chunked\r\n"
            body = encode_chunk(body) + LAST_CHUNK
        keep = passage.keep_alive
        stays = way.connection_line if keep else CLOSES
        data = f"{first}{signature(way.core.server_tokens)}{before}{stays}{after}\r\n".encode("latin-1")
        if keep and head.shared and not head.chunked:
            made: WrittenAnswer = head.written
            made.data = data
            made.since = float(int(now))
            made.until = made.since + 1.0
        return data + body


def _goes_plain(request: Request) -> bool:
    return request.contexts is not None and has_refused(request)
