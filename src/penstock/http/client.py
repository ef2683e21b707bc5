"""What a request sees of those above it: its client's connection, the tunnel it becomes, the WebSocket in that.

These are the attributes that phases and modules may ask for. Four classes have them: `server.connection.Connection`,
`server.h2.request_connection.View` for a stream of HTTP/2, `server.subrequest.Shadow` for a copy of a request, and what
a rehearsal is run with. Nothing here exists at run time but for type checkers.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import ssl

    from penstock.http.events.live import LiveEventStream
    from penstock.http.proxy_protocol import ProxyHeader
    from penstock.http.request import Attempt, Request
    from penstock.plan.location import Listen, Server
    from penstock.plan.plan import Plan
    from penstock.shared.counters import Figures, Share
    from penstock.shared.labelled_sums import Sums
    from penstock.shared.rows import Rows


class Clock(Protocol):
    """The time of the loop: monotonic seconds, as of this turn."""

    @property
    def now(self) -> float:
        """Return the time of this turn, in monotonic seconds."""
        ...


class RequestCounts(Protocol):
    """Where answers are counted, by status."""

    def answered(self, status: int) -> None:
        """Count a request that is over, by the class of its status."""
        ...

    def refused(self, status: int) -> None:
        """Count a handshake that was answered with something else than 101."""
        ...

    def sums(self) -> list[int]:
        """Sum up over all workers, each figure at its place in `observe.metric_names`."""
        ...

    def over_quota(self) -> None:
        """Count a WebSocket that is closed as soon as it is open, as its key has used up a quota."""
        ...

    def stream_opened(self) -> None:
        """Count an event stream."""
        ...

    def stream_ended(self, stream: LiveEventStream) -> None:
        """Count an event stream that has ended, and what has flowed in it."""
        ...

    def traced(self, result: str, spans: int) -> None:
        """Count spans by what became of them: `sent`, `dropped`, `failed`."""
        ...

    def tried(self, server: str, attempts: Sequence[Attempt] | None, status: int) -> None:
        """Count a handshake at every peer that was asked; `status` is what the client got in the end."""
        ...

    def by_peer(self) -> list[Sums]:
        """Return what was counted under the labels server, upstream and peer, of all workers."""
        ...

    @property
    def rows(self) -> Rows:
        """Return the figures in shared memory, a row for each worker."""
        ...


class ClientService(Protocol):
    """The worker that serves a request, and what it does in a request's name."""

    @property
    def plan(self) -> Plan:
        """Return the plan in force; a request that has begun goes on by its own."""
        ...

    @property
    def timers(self) -> Clock:
        """Return the clock by which deadlines are set."""
        ...

    @property
    def draining(self) -> bool:
        """Return whether the worker goes: no connection may stay for another request."""
        ...

    @property
    def counts(self) -> Share | None:
        """Return where workers tell each other what `stub_status` shows; None where nobody asks for it."""
        ...

    @property
    def control(self) -> str:
        """Return the folder of the control sockets, by which other workers are asked; "" for none."""
        ...

    @property
    def meters(self) -> RequestCounts | None:
        """Return where `metrics` are counted; None where nobody asks for them."""
        ...

    async def subrequest(
        self, parent: Request, uri: str, args: str, without: frozenset[str] = ...
    ) -> Request | None:
        """Ask this server itself in the name of a request; `without` are names of headers that are left out. None
        where it could not be asked. The caller gives the answer back by `end_subrequest`."""
        ...

    async def again(self, parent: Request, prepare: Callable[[Request], object]) -> Request:
        """Run a copy of a request, which `prepare` may change, from its content on. Its answer is unread, and without
        filters; the caller gives it back by `end_subrequest`."""
        ...

    def end_subrequest(self, request: Request) -> None:
        """Give back what a subrequest holds, and log it where that is configured."""
        ...

    def mirror(self, parent: Request, uri: str, args: str, *, ended: bool = False) -> None:
        """Send a copy of a request on its way, for which nobody waits. `ended`: the request has, and the copy knows
        how."""
        ...

    def behind(self, parent: Request, work: Callable[[Request], Coroutine[Any, Any, None]]) -> None:
        """Run `work` with a copy of a request, for which its client does not wait."""
        ...

    def figures(self) -> Figures:
        """Return the connections and requests of this worker alone."""
        ...

    def upstreams(self) -> list[dict[str, Any]]:
        """Describe the upstreams as this worker sees them, as plain values."""
        ...

    async def steer(self, order: Mapping[str, Any]) -> int:
        """Change a server of an upstream in all workers, and return its number, -1 for none. Raises
        `SteeringRefused`, with nothing changed."""
        ...

    async def tunnels(self, wanted: Mapping[str, object], limit: int, sort: str = ...) -> dict[str, Any]:
        """Return the tunnels of this worker that `wanted` selects, `limit` of them at most, as plain values."""
        ...

    async def close_tunnels(self, question: Mapping[str, Any]) -> int:
        """Close tunnels in all workers, and return how many. Raises `ValueError` for a question that makes no sense."""
        ...


class ClientStream(Protocol):
    """The client's bytes. Whoever waits for something else is told of a client that hangs up."""

    on_hangup: Callable[[], None] | None


class ClientHello(Protocol):
    """What a client asked for as it began TLS."""

    @property
    def server_name(self) -> str | None:
        """Return the name that the client asked for (SNI), in small letters; "" or None where it named none."""
        ...


class TlsOfClient(Protocol):
    """TLS with a client: what OpenSSL has of it, and its hello."""

    @property
    def ssl(self) -> ssl.SSLObject:
        """Return OpenSSL's half of the connection."""
        ...

    @property
    def hello(self) -> ClientHello | None:
        """Return the hello that began it; None where it was not looked at."""
        ...


class ClientConnection(Protocol):
    """Who is there, by which address it came, and how it is spoken to.

    `client_address`, `client_port` and `peer` change while `set_real_ip_from` puts another client in the place of the
    one that is connected.
    """

    client_address: str
    client_port: int
    peer: tuple[str, int] | None

    @property
    def service(self) -> ClientService:
        """Return the worker that serves it."""
        ...

    @property
    def stream(self) -> ClientStream:
        """Return what the client's bytes come from."""
        ...

    @property
    def tls(self) -> TlsOfClient | None:
        """Return TLS with the client; None over plain TCP."""
        ...

    @property
    def number(self) -> int:
        """Return its serial number, which logs show (`$connection`)."""
        ...

    @property
    def listen(self) -> Listen:
        """Return the address at which the client came in, as the plan has it."""
        ...

    @property
    def server(self) -> Server:
        """Return the server of the address, or of the name in TLS: that of requests which name no other."""
        ...

    @property
    def server_name(self) -> str | None:
        """Return the name of TLS (SNI), in small letters; "" or None where the client named none."""
        ...

    @property
    def local_address(self) -> str:
        """Return the address the client reached, `unix:PATH` for a unix socket."""
        ...

    @property
    def local_port(self) -> int:
        """Return the port the client reached, 0 for a unix socket."""
        ...

    @property
    def scheme(self) -> str:
        """Return `http` or `https`."""
        ...

    @property
    def proxy_protocol(self) -> ProxyHeader | None:
        """Return what the PROXY protocol said in front of all else; None without it."""
        ...

    @property
    def requests(self) -> int:
        """Count the heads of requests that were read, the one under way among them."""
        ...

    @property
    def started(self) -> float:
        """Return when it began, in monotonic seconds."""
        ...

    @property
    def last(self) -> bool:
        """Return whether no other request may follow the one under way."""
        ...

    @property
    def tunnelled(self) -> bool:
        """Return whether it has become a tunnel, whose bytes are no longer ours to read."""
        ...

    def show_peer(self) -> None:
        """Show the client's own address again, after a request that had another one in its place."""
        ...

    async def inform(self, request: Request, code: int, headers: list[tuple[str, str]]) -> None:
        """Send an interim answer such as 103 (RFC 9110, section 15.2) to a client that may have one."""
        ...


class SwitchedBackend(Protocol):
    """A backend that has switched protocols, on its way to become one half of a tunnel; `rest` came behind its head."""

    @property
    def rest(self) -> bytes:
        """Return the bytes that came behind the head."""
        ...

    def close(self) -> None:
        """Give the backend back: there will be no tunnel."""
        ...


class WebSocketView(Protocol):
    """The WebSocket session of a request, as its variables tell of it. "in" is from the client."""

    @property
    def close_code(self) -> int | None:
        """Return the code of the first close frame (RFC 6455, section 7.4); None while there was none."""
        ...

    @property
    def close_from(self) -> str:
        """Return who closed: `client`, `backend` or `proxy`; "" while nobody has."""
        ...

    @property
    def end_reason(self) -> str:
        """Return a short word for what ended it; "" while it lives."""
        ...

    @property
    def compressed(self) -> bool:
        """Return whether permessage-deflate was agreed on (RFC 7692)."""
        ...

    @property
    def frames_in(self) -> int:
        """Count the frames from the client."""
        ...

    @property
    def frames_out(self) -> int:
        """Count the frames to the client."""
        ...

    @property
    def messages_in(self) -> int:
        """Count the messages from the client, whatever frames they came in."""
        ...

    @property
    def messages_out(self) -> int:
        """Count the messages to the client."""
        ...

    @property
    def bytes_in(self) -> int:
        """Count the payload bytes of data frames from the client, as they are on the wire."""
        ...

    @property
    def bytes_out(self) -> int:
        """Count the payload bytes of data frames to the client, as they are on the wire."""
        ...

    @property
    def pings(self) -> int:
        """Count the pings that we sent, to both sides."""
        ...

    @property
    def rtt(self) -> float | None:
        """Return the seconds until our last ping was answered, by the client if it was asked; None before."""
        ...

    @property
    def redials(self) -> int:
        """Count the backends after the first one."""
        ...
