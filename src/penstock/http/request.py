"""The live transaction: what the phases and modules work on, whatever version of HTTP carries it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from penstock.config.pcre import Regex
    from penstock.http.head import RequestHead
    from penstock.plan.location import Location, Server


class FilePart:
    """A stretch of an open file. Who takes it over closes it; several parts may share one `File`."""

    __slots__ = ("count", "file", "offset")

    def __init__(self, file: OpenFile, offset: int, count: int) -> None:
        self.file = file
        self.offset = offset
        self.count = count


class OpenFile(Protocol):
    """An open regular file."""

    fd: int

    def close(self) -> None: ...


Chunks: TypeAlias = AsyncIterator[bytes]
Body: TypeAlias = bytes | FilePart | list[bytes | FilePart] | Chunks


class Answer:
    """What will be sent to the client.

    `headers` are in the order they go out, without Server, Date, Content-Type, Content-Length, Last-Modified, Location
    and Connection, which have fields of their own or are the wire's. `length` is the body's length, None where only its
    end will tell. `special` asks for the error page of that status in place of a body. `upgraded` is set on a 101 that
    becomes a tunnel. `silent` closes the connection without a word (`return 444`).
    `says_server`, `says_date`: a Server or Date among `headers` stands in place of our own.
    """

    # Defaults of the class: an answer costs what it says.
    reason: str | None = None
    charset: str | None = None
    location: str | None = None
    last_modified: str | None = None
    modified_at: int | None = None
    etag: str | None = None
    allow_ranges = False
    special = False
    silent = False
    from_upstream = False
    says_server = False
    says_date = False
    close = False
    trailers: Iterable[tuple[str, str]] | None = None
    upgraded: Any = None
    on_end: Any = None

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

    def header(self, name: str) -> str | None:
        """The first header of that name (given in lower case)."""
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return None

    def drop(self, name: str) -> None:
        """Take out every header of that name (given in lower case)."""
        self.headers = [pair for pair in self.headers if pair[0].lower() != name]


def special(status: int, *, close: bool = False) -> Answer:
    """An answer whose body is the page for its status, or what `error_page` says."""
    answer = Answer(status)
    answer.special = True
    answer.close = close
    return answer


class Redirect:
    """Go on elsewhere, inside: with another path, or in a named location (`name` starts with `@`)."""

    __slots__ = ("args", "name", "uri")

    def __init__(self, uri: str = "", args: str | None = None, *, name: str | None = None) -> None:
        self.uri = uri
        self.args = args
        self.name = name


Outcome: TypeAlias = Answer | Redirect | None


class RequestBody(Protocol):
    """The body a client sends, read on demand.

    `length` is the announced length, None for a chunked body; `done` that its end has been seen.
    """

    length: int | None
    done: bool
    received: int

    async def read(self) -> bytes:
        """The next piece; b"" at the end. Raises `BadRequest`, or what the net floor raises."""
        ...

    async def discard(self) -> None:
        """Read and drop what is left, as far as that is worth it."""
        ...


class NoBody:
    """The body of a request that has none."""

    __slots__ = ()
    length: int | None = 0
    done = True
    received = 0

    async def read(self) -> bytes:
        return b""

    async def discard(self) -> None:
        return None


NO_BODY = NoBody()


class Attempt:
    """One try at one peer, for `$upstream_addr` and its kin. Times are seconds, None where not reached."""

    __slots__ = (
        "address",
        "bytes_received",
        "bytes_sent",
        "connect_time",
        "header_time",
        "length",
        "redirected",
        "response_time",
        "started",
        "status",
    )

    def __init__(self, address: str, started: float) -> None:
        self.address = address
        self.started = started
        self.status = 0
        self.connect_time: float | None = None
        self.header_time: float | None = None
        self.response_time: float | None = None
        self.length = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self.redirected = False


class Request:
    """One request from its head to its log line.

    Attributes that most requests never change are defaults of the class: setting up a request costs what differs.
    `uri` is the normalised path, `args` the query without `?`, `head.target` what the client sent.
    """

    # What the client sent.
    head: RequestHead
    method: str
    uri = ""
    args = ""
    host: str = ""
    body: RequestBody = NO_BODY
    # Where it came from and when (monotonic seconds).
    connection: Any
    started: float = 0.0
    expecting: Callable[[], None] | None = None
    # Where it is.
    server: Server
    location: Location
    parent: Request | None = None
    internal = False
    redirects = 0
    uri_changed = False
    valid_unparsed = True
    valid_location = True
    add_uri_to_alias = False
    error_status = 0
    error_paged = False
    kept_location: str | None = None
    kept_headers: list[tuple[str, str]] | None = None
    kept_type: str | None = None
    satisfied = False
    captures: Any = None
    server_captures: Any = None
    variables: dict[str, str | None]
    cached: dict[str, str | None]
    # What becomes of it.
    keep_alive = True
    pipelined = False
    status = 0
    answer: Answer | None = None
    bytes_sent = 0
    body_bytes_sent = 0
    request_length = 0
    attempts: list[Attempt] | None = None
    upstream_head: Any = None
    upstream_url = ""
    finished = 0.0
    completed = False
    limit_rate: int | None = None
    pace: Any = None
    tunnel: Any = None
    tunnel_event: str | None = None
    conversation: Any = None
    endings: list[Callable[[], None]] | None = None
    contexts: dict[str, Any] | None = None

    def __init__(self, connection: Any, head: RequestHead, server: Server) -> None:
        self.connection = connection
        self.head = head
        self.method = head.method
        self.server = server
        self.location = server.root
        self.variables = {}
        self.cached = {}

    @property
    def main(self) -> Request:
        """The client's own request, of which this may be a part."""
        return self if self.parent is None else self.parent.main

    def go_on(self) -> None:
        """Tell a client that waits for it that its body is wanted: 100 (RFC 9110, section 10.1.1)."""
        if self.expecting is not None:
            self.expecting()
            self.expecting = None

    def context(self, module: str, make: Callable[[], Any]) -> Any:
        """What a module keeps for this request, made when it is first asked for."""
        if self.contexts is None:
            self.contexts = {}
        found = self.contexts.get(module)
        if found is None:
            found = self.contexts[module] = make()
        return found

    def at_end(self, action: Callable[[], None]) -> None:
        """Call `action` once all is over and logged, whatever becomes of the request; for a tunnel, when it ends."""
        if self.endings is None:
            self.endings = []
        self.endings.append(action)

    def captured(self, match: Any, regex: Regex) -> None:
        """Remember a match for `$1`, and its named groups as variables."""
        self.captures = match
        names = regex.names
        if names:
            variables = self.variables
            for name in names:
                variables[name] = match.group(name) or ""

    def __repr__(self) -> str:
        return f"<{self.method} {self.uri!r}>"
