"""The live transaction: what the phases and modules work on, whatever version of HTTP carries it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from penstock.config.key import KeyedValues

if TYPE_CHECKING:
    from penstock.config.key import Key
    from penstock.config.regex.regex import Match, Regex
    from penstock.http.client import ClientConnection, SwitchedBackend, WebSocketView
    from penstock.http.head import RequestHead
    from penstock.http.rate import Pace
    from penstock.http.response import ResponseHead
    from penstock.plan.location import Location, Server

T = TypeVar("T")


class Held(Protocol):
    """What a request must give back: a file, a backend, a place in a group. Closing it again does nothing."""

    def close(self) -> None: ...


class FilePart:
    """A stretch of an open file, which the request holds; several parts may share one."""

    __slots__ = ("count", "file", "offset")

    def __init__(self, file: OpenFile, offset: int, count: int) -> None:
        self.file = file
        self.offset = offset
        self.count = count


class OpenFile(Protocol):
    """An open regular file."""

    fd: int

    def close(self) -> None: ...


class Chunks(Protocol):
    """A body that comes piece by piece. Who makes one holds it by the request (`Request.hold`) if it must be closed."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def __anext__(self) -> Awaitable[bytes]: ...

    def close(self) -> None:
        """Close it: nobody reads on. May be called again."""
        ...


Body: TypeAlias = bytes | FilePart | list[bytes | FilePart] | Chunks


class Answer:
    """An answer: what will be sent to the client.

    `headers` are in the order they go out, without Server, Date, Content-Type, Content-Length, Last-Modified, Location
    and Connection, which have fields of their own or are the wire's. `length` is the body's length, None where only its
    end will tell. `special` asks for the error page of that status in place of a body. `upgraded` is set on a 101 that
    becomes a tunnel. `silent` closes the connection without a word (`return 444`). `says_server`, `says_date`: a Server
    or Date among `headers` stands in place of our own.
    """

    # No defaults of the class: CPython is slow to find what a class has, too.
    __slots__ = (
        "allow_ranges",
        "body",
        "charset",
        "close",
        "content_type",
        "etag",
        "from_upstream",
        "headers",
        "last_modified",
        "length",
        "location",
        "modified_at",
        "reason",
        "says_date",
        "says_server",
        "silent",
        "special",
        "status",
        "trailers",
        "upgraded",
    )

    def __init__(
        self,
        status: int,
        body: Body = b"",
        *,
        content_type: str | None = None,
        length: int | None = None,
        headers: list[tuple[str, str]] | None = None,
    ) -> None:
        self.status = status
        self.body: Body = body
        self.content_type = content_type
        self.length = len(body) if length is None and isinstance(body, bytes) else length
        self.headers: list[tuple[str, str]] = [] if headers is None else headers
        self.reason: str | None = None
        self.charset: str | None = None
        self.location: str | None = None
        self.last_modified: str | None = None
        self.modified_at: int | None = None
        self.etag: str | None = None
        self.allow_ranges = False
        self.special = False
        self.silent = False
        self.from_upstream = False
        self.says_server = False
        self.says_date = False
        self.close = False
        self.trailers: Iterable[tuple[str, str]] | None = None
        self.upgraded: SwitchedBackend | None = None

    def header(self, name: str) -> str | None:
        """Return the first header of that name (given in lower case)."""
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return None

    def drop(self, name: str) -> None:
        """Take out every header of that name (given in lower case)."""
        self.headers = [pair for pair in self.headers if pair[0].lower() != name]


def special(status: int, *, close: bool = False) -> Answer:
    """Make an answer whose body is the page for its status, or what `error_page` says."""
    answer = Answer(status)
    answer.special = True
    answer.close = close
    return answer


class Redirect:
    """A redirect inside: the request goes on with another path, or in a named location (`name` starts with `@`)."""

    __slots__ = ("args", "name", "uri")

    def __init__(self, uri: str = "", args: str | None = None, *, name: str | None = None) -> None:
        self.uri = uri
        self.args = args
        self.name = name


Outcome: TypeAlias = Answer | Redirect | None


class RequestBody(Protocol):
    """The body that a client sends, read on demand.

    `length` is the announced length, None for a chunked body; `done` that its end has been seen.
    """

    length: int | None
    done: bool
    received: int

    async def read(self) -> bytes:
        """Read the next piece; b"" at the end. Raises `BadRequest`, or what the net floor raises."""
        ...

    async def discard(self) -> None:
        """Read and drop what is left, as far as that is worth it."""
        ...


class NoBody:
    """The body of a request that has none."""

    __slots__ = ("done", "length", "received")

    def __init__(self) -> None:
        self.length: int | None = 0
        self.done = True
        self.received = 0

    async def read(self) -> bytes:
        return b""

    async def discard(self) -> None:
        return None


NO_BODY = NoBody()


class UnreadBody(NoBody):
    """What stays of a body whose rest nobody has read, once its request has ended."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        self.done = False


UNREAD_BODY = UnreadBody()


NO_PEER = ("", "")


class Attempt:
    """A try at one peer, for `$upstream_addr` and its kin. Times are seconds, None if not reached."""

    __slots__ = (
        "address",
        "bytes_received",
        "bytes_sent",
        "connect_time",
        "header_time",
        "label",
        "length",
        "redirected",
        "response_time",
        "started",
        "status",
    )

    def __init__(self, address: str, started: float, label: tuple[str, str] = NO_PEER) -> None:
        self.address = address
        self.started = started
        self.label = label
        self.status = 0
        self.connect_time: float | None = None
        self.header_time: float | None = None
        self.response_time: float | None = None
        self.length = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self.redirected = False


class Request:
    """A request, from its head to its log line.

    `uri` is the normalised path, `args` the query without `?`, `head.target` what the client sent.
    """

    __slots__ = (
        "add_uri_to_alias",
        "answer",
        "args",
        "attempts",
        "body",
        "body_bytes_sent",
        "bytes_sent",
        "cached",
        "captures",
        "completed",
        "connection",
        "contexts",
        "conversation",
        "endings",
        "error_paged",
        "error_status",
        "expecting",
        "finished",
        "head",
        "held",
        "host",
        "internal",
        "keep_alive",
        "kept_headers",
        "kept_location",
        "kept_type",
        "limit_rate",
        "location",
        "method",
        "pace",
        "parent",
        "pipelined",
        "redirects",
        "request_length",
        "server",
        "started",
        "status",
        "tunnel_event",
        "upstream_head",
        "upstream_url",
        "uri",
        "uri_changed",
        "valid_location",
        "valid_unparsed",
        "variables",
    )
    log_context: str | None = None  # what the log says behind a message, where it is not what nginx says of requests
    listens_on = False  # whether the client may have said all there is, and wants an answer all the same: a stream's

    def __init__(self, connection: ClientConnection, head: RequestHead, server: Server) -> None:
        # What the client sent.
        self.head = head
        self.method: str = head.method
        self.uri = self.args = ""
        self.host: str = ""
        self.body: RequestBody = NO_BODY
        # Where it came from and when (monotonic seconds).
        self.connection = connection
        self.started: float = 0.0
        self.expecting: Callable[[], None] | None = None
        # Where it is.
        self.server = server
        self.location: Location = server.root
        self.parent: Request | None = None
        self.internal = False
        self.redirects = 0
        self.uri_changed = False
        self.valid_unparsed = True
        self.valid_location = True
        self.add_uri_to_alias = False
        self.error_status = 0
        self.error_paged = False
        self.kept_location: str | None = None
        self.kept_headers: list[tuple[str, str]] | None = None
        self.kept_type: str | None = None
        self.captures: Match | None = None
        self.variables: dict[str, str | None] = {}
        self.cached: dict[str, str | None] = {}
        # What becomes of it.
        self.keep_alive = True
        self.pipelined = False
        self.status = 0
        self.answer: Answer | None = None
        self.bytes_sent = self.body_bytes_sent = 0
        self.request_length = 0
        self.attempts: list[Attempt] | None = None
        self.upstream_head: ResponseHead | None = None
        self.upstream_url = ""
        self.finished = 0.0
        self.completed = False
        self.limit_rate: int | None = None
        self.pace: Pace | None = None
        self.tunnel_event: str | None = None
        self.conversation: WebSocketView | None = None
        self.endings: list[Callable[[], None]] | None = None
        self.held: list[Held | Request] | None = None
        self.contexts: KeyedValues | None = None

    @property
    def main(self) -> Request:
        """Return the client's own request, of which this may be a part."""
        return self if self.parent is None else self.parent.main

    def go_on(self) -> None:
        """Tell a client that waits for it that its body is wanted: 100 (RFC 9110, section 10.1.1)."""
        if self.expecting is not None:
            self.expecting()
            self.expecting = None

    def context(self, key: Key[T], make: Callable[[], T]) -> T:
        """Return what a module keeps for this request, made when it is first asked for."""
        if self.contexts is None:
            self.contexts = KeyedValues()
        found = self.contexts.get(key)
        if found is None:
            found = self.contexts[key] = make()
        return found

    def hold(self, resource: Held | Request) -> None:
        """Take over what must be given back. It is closed when the request ends, whatever becomes of it; a request
        inside of this one is ended then."""
        if self.held is None:
            self.held = [resource]
        else:
            self.held.append(resource)

    def no_longer(self, resource: Held | Request) -> None:
        """Hold it no longer: it has been given back, or has another owner."""
        if self.held is not None and resource in self.held:
            self.held.remove(resource)

    def at_end(self, action: Callable[[], None]) -> None:
        """Call `action` once all is over and logged, whatever becomes of the request; for a tunnel, when it ends."""
        if self.endings is None:
            self.endings = []
        self.endings.append(action)

    def captured(self, match: Match, regex: Regex) -> None:
        """Remember a match for `$1`, and its named groups as variables."""
        self.captures = match
        names = regex.names
        if names:
            variables = self.variables
            for name in names:
                variables[name] = match.group(name) or ""

    def __repr__(self) -> str:
        return f"<{self.method} {self.uri!r}>"
