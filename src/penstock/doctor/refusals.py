"""Why a WebSocket handshake was answered with something other than 101: what an answer gives away, and what to do.

`causes(sent, got)` looks at a handshake as it reached whoever answered it, at the answer, and (where a proxy stands
between) at what the client had asked the proxy. It says every likely cause, the likeliest first. Nothing here reads a
socket or a configuration: the running proxy and `penstock probe` share it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

EXCERPT = 120
"""Characters of a body that are shown to a person."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A handshake: the target of its request line, the version of HTTP (10, 11, 20), its headers by lower-case name."""

    target: str
    fields: Mapping[str, str] = field(default_factory=dict)
    version: int = 11


@dataclass(frozen=True, slots=True)
class Said:
    """An answer to it, and the beginning of the answer's body as latin-1 text, as far as it is at hand."""

    status: int
    fields: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


@dataclass(frozen=True, slots=True)
class Cause:
    """One explanation. `sure`: it is seen, not guessed. `advice` says what to write, in words of nginx where it can."""

    id: str
    text: str
    advice: str
    sure: bool = False

    def __str__(self) -> str:
        return f"{self.text}; {self.advice}" if self.advice else self.text


_ABOUT_WHO_ASKS = frozenset({302, 303, 307, 400, 401, 403, 407})
"""Statuses that say something about the client, and not about the path."""

Rule = Callable[[Asked, Said, "Asked | None"], "Iterator[Cause]"]


def causes(sent: Asked, got: Said, client: Asked | None = None) -> list[Cause]:
    """Every likely cause, the likeliest first, never none.

    `sent` is what the one who answered was asked; `client` what the client had asked a proxy that then sent `sent`
    (None where there is no proxy between).
    """
    found: list[Cause] = []
    for rule in (_what_was_lost, _what_the_body_says, *_BY_STATUS.get(got.status, ()), _by_class):
        for cause in rule(sent, got, client):
            if all(other.id != cause.id for other in found):
                found.append(cause)
    found.sort(key=lambda cause: not cause.sure)
    return found


def described(got: Said) -> str:
    """What was answered, in a few words: status, where it redirects to, the beginning of a body of text."""
    words = [str(got.status)]
    if "location" in got.fields:
        words.append(f"to {excerpt(got.fields['location'])}")
    elif got.body and _is_words(got):
        words.append(f'"{excerpt(got.body)}"')
    return " ".join(words)


def excerpt(text: str) -> str:
    """One bounded line of what a peer wrote. It is not escaped: whoever prints it does that."""
    line = " ".join(text.split())
    return line if len(line) <= EXCERPT else line[: EXCERPT - 3] + "..."


# -- what is seen in the request ------------------------------------------------------------------------------------


def _what_was_lost(sent: Asked, got: Said, client: Asked | None) -> Iterator[Cause]:
    fields = sent.fields
    if sent.version >= 20:
        return
    if sent.version < 11:
        yield Cause(
            "http-1.0",
            "the handshake was sent over HTTP/1.0, which knows no upgrade",
            "set proxy_http_version 1.1, or websocket auto",
            sure=True,
        )
    if "upgrade" not in fields:
        yield Cause(
            "upgrade-lost",
            "the handshake arrived without its Upgrade header",
            'set proxy_set_header Upgrade $http_upgrade and proxy_set_header Connection "upgrade", or websocket auto',
            sure=True,
        )
    elif "upgrade" not in fields.get("connection", "").lower():
        yield Cause(
            "connection-lost",
            "the handshake arrived without Connection: upgrade",
            'set proxy_set_header Connection "upgrade", or websocket auto',
            sure=True,
        )
    for name in ("sec-websocket-key", "sec-websocket-version"):
        if name not in fields and (client is None or name in client.fields):
            yield Cause(
                "header-missing",
                f"the handshake arrived without {_spelled(name)}",
                "look for what takes it out on the way (proxy_pass_request_headers off, proxy_set_header with '')",
                sure=True,
            )
    if client is None or got.status not in _ABOUT_WHO_ASKS:
        return
    for name in ("origin", "cookie", "authorization", "sec-websocket-protocol"):
        if name in client.fields and name not in fields:
            yield Cause(
                f"{name}-removed",
                f"the client sent {_spelled(name)}, and it was taken out on the way",
                f"remove the proxy_set_header {_spelled(name)} that takes it out",
                sure=True,
            )


# -- what is read in the answer -------------------------------------------------------------------------------------

_AFFINITY = "keep a client at one server: ip_hash, or hash $arg_sid consistent, in the upstream block"
_ORIGIN = "pass the client's Host (proxy_set_header Host $http_host), or allow the origin in the application"

_PHRASES: tuple[tuple[str, str, str, str], ...] = (
    (
        r"session id unknown",
        "affinity",
        "socket.io does not know the session: its first request went to another server",
        _AFFINITY,
    ),
    (
        r"no connection with that id",
        "affinity",
        "SignalR does not know the connection: its negotiation went to another server",
        _AFFINITY,
    ),
    (
        r"plain http request was sent to https port|http request to an https server",
        "scheme",
        "the backend's port speaks TLS, and was spoken to in plain HTTP",
        "write https:// in proxy_pass",
    ),
    (
        r"origin[^.]{0,40}not allowed|checkorigin|cross.origin websockets|invalid host/origin|origin check",
        "origin",
        "the backend refuses the Origin",
        _ORIGIN,
    ),
    (
        r"disallowedhost|disallowed host|invalid host header|host is not allowed|blocked request|invalid http_host",
        "host",
        "the backend does not take this Host for its own",
        "set proxy_set_header Host to what it expects, or allow the name in the application (ALLOWED_HOSTS, "
        "allowedHosts)",
    ),
    (
        r"'?websocket'? token not found|can \"?upgrade|upgrade required|not a websocket|bad.{0,8}upgrade|"
        r"missing or invalid upgrade|invalid (?:upgrade|connection) header",
        "upgrade-lost",
        "the backend did not see a handshake: a proxy on the way took Upgrade or Connection out",
        'every proxy on the way needs proxy_set_header Upgrade $http_upgrade and Connection "upgrade"',
    ),
    (
        r"transport unknown|unsupported protocol version",
        "engine",
        "socket.io or engine.io of another version than the client's answers here",
        "use client and server of the same major version",
    ),
)
_COMPILED = tuple(
    (re.compile(pattern, re.ASCII | re.IGNORECASE), Cause(name, text, advice, sure=True))
    for pattern, name, text, advice in _PHRASES
)


def _what_the_body_says(sent: Asked, got: Said, client: Asked | None) -> Iterator[Cause]:
    if not got.body:
        return
    for pattern, cause in _COMPILED:
        if pattern.search(got.body):
            yield cause


# -- by status ------------------------------------------------------------------------------------------------------


def _bad_request(sent: Asked, got: Said, client: Asked | None) -> Iterator[Cause]:
    yield from _version(sent, got, client)
    yield from _host_mismatch(sent, client)
    yield Cause(
        "bad-handshake",
        "the backend found a header of the handshake missing or wrong",
        "its own log says which; Django answers so to a Host outside ALLOWED_HOSTS, socket.io to a session that "
        "another server began",
    )


def _unauthorized(sent: Asked, got: Said, client: Asked | None) -> Iterator[Cause]:
    yield Cause(
        "credentials",
        "the backend wants credentials, and browsers can not add an Authorization header to a WebSocket",
        "send a cookie, a token in the query or in the subprotocol; see that cookies reach the path of the WebSocket",
    )


def _forbidden(sent: Asked, got: Said, client: Asked | None) -> Iterator[Cause]:
    origin = sent.fields.get("origin")
    if origin is not None:
        yield from _host_mismatch(sent, client)
    elif client is None or "origin" not in client.fields:
        yield Cause("origin-absent", "there is no Origin, which some backends insist on", "send one")
    yield from _uri_mapping(sent, client)
    yield Cause(
        "refused-by-application",
        "the application refuses this client, or has no WebSocket at this path (ASGI servers such as uvicorn answer "
        "403 to both)",
        f"its own log says which{'' if origin is None else f'; the Origin was {excerpt(origin)}'}",
    )


def _not_found(sent: Asked, got: Said, client: Asked | None) -> Iterator[Cause]:
    yield from _uri_mapping(sent, client)
    yield from _host_mismatch(sent, client)
    yield Cause(
        "path",
        f"the backend has no WebSocket at {excerpt(sent.target)}",
        "compare the path with the application's; Rails answers 404 to an Origin it does not allow",
    )


def _no_such_method(sent: Asked, got: Said, client: Asked | None) -> Iterator[Cause]:
    yield from _uri_mapping(sent, client)
    yield Cause(
        "http-endpoint",
        f"{excerpt(sent.target)} is an ordinary HTTP endpoint that takes no GET",
        "compare the path with the application's",
    )


def _upgrade_required(sent: Asked, got: Said, client: Asked | None) -> Iterator[Cause]:
    yield from _version(sent, got, client)
    yield Cause(
        "upgrade-lost-further",
        "whoever answered did not see a handshake: Upgrade or Connection was lost, or the request came over HTTP/1.0",
        "look at every proxy on the way (proxy_http_version 1.1, proxy_set_header Upgrade and Connection)",
    )


def _ordinary_answer(sent: Asked, got: Said, client: Asked | None) -> Iterator[Cause]:
    yield from _uri_mapping(sent, client)
    kind = got.fields.get("content-type", "").lower()
    if "html" in kind:
        yield Cause(
            "page",
            f"an ordinary page answers at {excerpt(sent.target)}, as where try_files or a framework's router falls "
            "back to index.html",
            "compare the path of the WebSocket with the application's, and the location it matches",
        )
    elif "/socket.io/" in sent.target or "transport=polling" in sent.target:
        yield Cause(
            "transport",
            "socket.io answers as to polling: the query names no transport=websocket",
            "connect with EIO=4&transport=websocket",
        )
    yield Cause(
        "ordinary-answer",
        f"{excerpt(sent.target)} is an ordinary HTTP resource, or a proxy further on took the Upgrade header out",
        "compare the path with the application's; ask the backend directly to see which of the two it is",
    )


def _redirected(sent: Asked, got: Said, client: Asked | None) -> Iterator[Cause]:
    target = got.fields.get("location", "")
    host = sent.fields.get("host", "").lower()
    path = sent.target.partition("?")[0]
    plain = re.sub(r"^https?://[^/]*", "", target).partition("?")[0]
    if plain == path + "/" or plain + "/" == path:
        yield Cause(
            "slash",
            f"the backend wants {'a' if plain.endswith('/') else 'no'} slash at the end of the path, and browsers do "
            "not follow redirects of a WebSocket",
            f"connect to {excerpt(plain)}, or map the path in proxy_pass",
            sure=True,
        )
    elif target.startswith("https://") and plain == path and host.partition(":")[0] in target.lower():
        yield Cause(
            "https",
            "the backend insists on https, and does not know that the client came so",
            "set proxy_set_header X-Forwarded-Proto $scheme",
            sure=True,
        )
    elif re.search(r"login|signin|sign_in|auth|sso|account", plain, re.ASCII | re.IGNORECASE):
        yield Cause(
            "login",
            "the backend sends clients that are not logged in to a page",
            "see that its session cookie is sent with the handshake (its Domain, Path and SameSite)",
        )
    else:
        yield Cause(
            "redirect",
            "browsers do not follow redirects of a WebSocket",
            f"connect to {excerpt(target) or 'the right address'} at once, or set proxy_pass and Host so that it is "
            "not needed",
        )


def _misdirected(sent: Asked, got: Said, client: Asked | None) -> Iterator[Cause]:
    yield Cause(
        "misdirected",
        "Host and the TLS server name do not agree",
        "set proxy_ssl_server_name on and proxy_ssl_name to the name in Host",
    )


def _too_many(sent: Asked, got: Said, client: Asked | None) -> Iterator[Cause]:
    yield Cause(
        "rate",
        "whoever answered limits how many connect",
        "behind a proxy it may count all clients as one: pass X-Forwarded-For, and let it trust the proxy",
    )


def _unavailable(sent: Asked, got: Said, client: Asked | None) -> Iterator[Cause]:
    server = got.fields.get("server", "")
    who = f'"{excerpt(server)}"' if server else "a proxy or the server itself"
    yield Cause(
        "further-on",
        f"{who} could not reach the application, or is overloaded",
        "look into the log of whoever answered; Retry-After says when to come back"
        if "retry-after" in got.fields
        else "look into the log of whoever answered",
    )


def _broken(sent: Asked, got: Said, client: Asked | None) -> Iterator[Cause]:
    yield Cause(
        "application-error",
        "the application failed while it looked at the handshake",
        "its own log holds the reason; some servers fail so when they are not made for WebSocket (WSGI without "
        "a worker that can)",
    )


_BY_STATUS: dict[int, tuple[Rule, ...]] = {
    200: (_ordinary_answer,),
    204: (_ordinary_answer,),
    301: (_redirected,),
    302: (_redirected,),
    303: (_redirected,),
    307: (_redirected,),
    308: (_redirected,),
    400: (_bad_request,),
    401: (_unauthorized,),
    403: (_forbidden,),
    404: (_not_found,),
    405: (_no_such_method,),
    421: (_misdirected,),
    426: (_upgrade_required,),
    429: (_too_many,),
    500: (_broken,),
    501: (_broken,),
    502: (_unavailable,),
    503: (_unavailable,),
    504: (_unavailable,),
}


def _by_class(sent: Asked, got: Said, client: Asked | None) -> Iterator[Cause]:
    """What can still be said of a status that nobody knows."""
    if got.status in _BY_STATUS:
        return
    if 200 <= got.status < 300:
        yield from _ordinary_answer(sent, got, client)
    elif 300 <= got.status < 400:
        yield from _redirected(sent, got, client)
    else:
        yield Cause("unknown", f"{got.status} is no usual answer to a handshake", "look into the backend's log")


# -- what several statuses have in common ---------------------------------------------------------------------------


def _version(sent: Asked, got: Said, client: Asked | None) -> Iterator[Cause]:
    wanted = got.fields.get("sec-websocket-version")
    given = sent.fields.get("sec-websocket-version")
    if wanted and given and given not in re.split(r"[ ,]+", wanted):
        yield Cause(
            "version",
            f"the client speaks version {excerpt(given)} of the protocol and the backend {excerpt(wanted)}",
            "",
            sure=True,
        )


def _host_mismatch(sent: Asked, client: Asked | None) -> Iterator[Cause]:
    """Origin is compared with Host by most who look at it."""
    host = sent.fields.get("host", "")
    origin = sent.fields.get("origin", "")
    authority = re.sub(r"^[a-z][a-z0-9+.-]*://", "", origin.lower())
    asked = "" if client is None else client.fields.get("host", "")
    if authority and authority != "null" and host and authority != _short(host, origin):
        because = f" (the client asked for {excerpt(asked)})" if asked and asked.lower() != host.lower() else ""
        yield Cause(
            "origin-host",
            f"Origin {excerpt(origin)} does not match Host {excerpt(host)}{because}",
            _ORIGIN,
        )
    elif asked and asked.lower() != host.lower():
        yield Cause(
            "host-changed",
            f"the client asked for Host {excerpt(asked)}, the backend got {excerpt(host)}",
            "set proxy_set_header Host $http_host",
        )


def _short(host: str, origin: str) -> str:
    """Host as an Origin would write it: without the scheme's own port."""
    host = host.lower()
    usual = ":443" if origin.lower().startswith(("https:", "wss:")) else ":80"
    return host.removesuffix(usual)


def _uri_mapping(sent: Asked, client: Asked | None) -> Iterator[Cause]:
    if client is None or client.target == sent.target:
        return
    yield Cause(
        "uri-mapping",
        f"the client asked for {excerpt(client.target)} and the backend was asked for {excerpt(sent.target)}",
        "a URI in proxy_pass (even a single slash) takes the place of the location's name: leave it out to pass the "
        "path as it is",
    )


def _spelled(name: str) -> str:
    """A header's name as it is usually written."""
    return "-".join(part.capitalize() for part in name.split("-")).replace("Websocket", "WebSocket")


def _is_words(got: Said) -> bool:
    kind = got.fields.get("content-type", "text/plain").lower()
    return "html" not in kind and ("text" in kind or "json" in kind) and got.body.isprintable()
