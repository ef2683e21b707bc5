"""HTTP/2 toward clients: who may speak it and within which limits (nginx: ngx_http_v2_module; RFC 9113, RFC 8441)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.config.kinds import Kind, choice, custom, flag, number
from penstock.config.registry import HTTP, HTTP_LEVELS, SERVER, Context, inert
from penstock.config.scope import Call
from penstock.config.settings import Settings, directive, last
from penstock.config.values import size as to_size
from penstock.config.variables import variable
from penstock.http.request import Request
from penstock.modules.proxy.proxy import Proxy
from penstock.modules.websocket.websocket import WebSocket

if TYPE_CHECKING:
    from penstock.plan.location import Listen, Location, Server

PAGE = "ngx_http_v2_module.html"
MAX_WINDOW = (1 << 31) - 1
MAX_FRAME = (1 << 24) - 1


def _bytes(check: str, least: int, most: int) -> Kind:
    """A size within bounds; `check` is what nginx says of one that is not."""

    def parse(call: Call) -> int:
        word = call.args[0]
        try:
            value = to_size(word.text)
        except ValueError:
            raise call.fail(f'"{call.name}" directive invalid value', word) from None
        if not least <= value <= most:
            raise call.fail(check, word)
        return value

    return custom(parse, syntax="size")


def _chunk_size(call: Call) -> int:
    value: int = _bytes("the http2 chunk size cannot be zero", 1, 1 << 62).parse(call)
    return min(value, MAX_FRAME)


# Any: as `directive`, it stands for the value of an attribute.
def _obsolete(name: str, instead: str = "", where: Context = HTTP | SERVER) -> Any:
    """A directive of old versions: it is named in a warning, and nothing comes of it."""

    def parse(call: Call) -> None:
        what = f'use the "{instead}" directive instead' if instead else "ignored"
        call.compilation.problems.warn(f'the "{call.name}" directive is obsolete, {what}', call.directive.span)

    gone = "what it set is set by another directive, or does not exist any more; nginx ignores it, too"
    return directive(name, where=where, takes=custom(parse, syntax="value"), nginx=PAGE, inert=gone, again=last)


class Http2(Settings):
    """HTTP/2 of a server: over TLS as clients agree to by ALPN, on plain addresses with prior knowledge."""

    enabled: bool = directive("http2", where=HTTP | SERVER, takes=flag, default=False, nginx=PAGE)
    extended_connect: str = directive(
        "http2_extended_connect",
        where=HTTP | SERVER,
        takes=choice("on", "off", "auto"),
        default="auto",
        doc="WebSockets inside of HTTP/2 (RFC 8441). `auto`: clients are told of it where a location can carry them.",
    )
    max_concurrent_streams: int = directive(
        "http2_max_concurrent_streams", where=HTTP | SERVER, takes=number, default=128, nginx=PAGE
    )
    body_preread_size: int = directive(
        "http2_body_preread_size",
        where=HTTP | SERVER,
        takes=_bytes(f"the maximum body preread buffer size is {MAX_WINDOW}", 0, MAX_WINDOW),
        default=65536,
        nginx=PAGE,
        shown="64k",
        doc="How much of a body a client may send before anybody has asked for it.",
    )
    chunk_size: int = directive(
        "http2_chunk_size",
        where=HTTP_LEVELS,
        takes=custom(_chunk_size, syntax="size"),
        default=8192,
        nginx=PAGE,
        shown="8k",
        doc="The most a frame of an answer's body holds.",
    )
    recv_buffer_size: int = directive(
        "http2_recv_buffer_size",
        where=HTTP,
        takes=_bytes("value is too small", 17, 1 << 62),
        default=262144,
        nginx=PAGE,
        shown="256k",
        inert="connections are read with the buffer that suits TLS records, of which an idle one has none",
    )
    old_field_size: None = _obsolete("http2_max_field_size", "large_client_header_buffers")
    old_header_size: None = _obsolete("http2_max_header_size", "large_client_header_buffers")
    old_requests: None = _obsolete("http2_max_requests", "keepalive_requests")
    old_idle_timeout: None = _obsolete("http2_idle_timeout", "keepalive_timeout")
    old_recv_timeout: None = _obsolete("http2_recv_timeout", "client_header_timeout")
    old_pushes: None = _obsolete("http2_max_concurrent_pushes")
    old_preload: None = _obsolete("http2_push_preload", where=HTTP_LEVELS)
    old_push: None = _obsolete("http2_push", where=HTTP_LEVELS)


inert(
    "http2_pool_size",
    "http2_streams_index_size",
    where=HTTP | SERVER,
    reason="memory is taken as it is needed and given back at once",
    nginx=PAGE,
    module="http2",
)


@variable("http2")
def http2(request: Request) -> str | None:
    """`h2` over TLS, `h2c` without, nothing for other versions."""
    if request.head.protocol != "HTTP/2.0":
        return None
    return "h2" if request.connection.tls is not None else "h2c"


def spoken_at(listen: Listen, server: Server) -> bool:
    """Return whether clients of an address that ask for a server may speak HTTP/2 with it."""
    return bool(listen.options.http2) or server.root[Http2].enabled


def carries_websockets(server: Server) -> bool:
    """Return whether RFC 8441 is offered to clients of a server: it is told to, or some location passes handshakes on.
    """
    wanted = server.root[Http2].extended_connect
    if wanted != "auto":
        return wanted == "on"
    return any(_upgrades(location) for location in _all(server))


def _all(server: Server) -> list[Location]:
    found = [server.root, *server.named.values()]
    for location in found:
        found += location.inner
        if location.nested is not None:
            found += location.nested.all
    return found


def _upgrades(location: Location) -> bool:
    """Whether requests of a location may go to their backend with an Upgrade header."""
    proxy, wish = location[Proxy], location[WebSocket].wish
    if proxy.target is None or wish is not None:
        return proxy.target is not None and wish is not None and wish.carries
    return (
        proxy.http_version >= 11
        and any(each.name.lower() == "upgrade" and not each.empty for each in proxy.set_headers)
    )
