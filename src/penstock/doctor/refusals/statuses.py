"""What the status of an answer to a handshake may mean, the likeliest first."""

from __future__ import annotations

import re
from collections.abc import Iterator

from penstock.doctor.refusals.seen import ORIGIN
from penstock.doctor.refusals.terms import Cause, RefusedHandshake, Rule, Said, excerpt


def always(code: str, what: str, advice: str) -> Rule:
    """Make the rule of a status that has this one cause, whatever was sent."""
    cause = Cause(code, what, advice)
    return lambda sent, got, client: iter((cause,))


def _bad_request(sent: RefusedHandshake, got: Said, client: RefusedHandshake | None) -> Iterator[Cause]:
    yield from _version(sent, got, client)
    yield from _host_mismatch(sent, client)
    yield Cause(
        "bad-handshake",
        "the backend found a header of the handshake missing or wrong",
        "its own log says which; Django answers so to a Host outside ALLOWED_HOSTS, socket.io to a session that "
        "another server began",
    )


_unauthorized = always(
    "credentials",
    "the backend wants credentials, and browsers can not add an Authorization header to a WebSocket",
    "send a cookie, a token in the query or in the subprotocol; see that cookies reach the path of the WebSocket",
)


def _forbidden(sent: RefusedHandshake, got: Said, client: RefusedHandshake | None) -> Iterator[Cause]:
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


def _not_found(sent: RefusedHandshake, got: Said, client: RefusedHandshake | None) -> Iterator[Cause]:
    yield from _uri_mapping(sent, client)
    yield from _host_mismatch(sent, client)
    yield Cause(
        "path",
        f"the backend has no WebSocket at {excerpt(sent.target)}",
        "compare the path with the application's; Rails answers 404 to an Origin it does not allow",
    )


def _no_such_method(sent: RefusedHandshake, got: Said, client: RefusedHandshake | None) -> Iterator[Cause]:
    yield from _uri_mapping(sent, client)
    yield Cause(
        "http-endpoint",
        f"{excerpt(sent.target)} is an ordinary HTTP endpoint that takes no GET",
        "compare the path with the application's",
    )


def _upgrade_required(sent: RefusedHandshake, got: Said, client: RefusedHandshake | None) -> Iterator[Cause]:
    yield from _version(sent, got, client)
    yield Cause(
        "upgrade-lost-further",
        "whoever answered did not see a handshake: Upgrade or Connection was lost, or the request came over HTTP/1.0",
        "look at every proxy on the way (proxy_http_version 1.1, proxy_set_header Upgrade and Connection)",
    )


def _ordinary_answer(sent: RefusedHandshake, got: Said, client: RefusedHandshake | None) -> Iterator[Cause]:
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


def _redirected(sent: RefusedHandshake, got: Said, client: RefusedHandshake | None) -> Iterator[Cause]:
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


_misdirected = always(
    "misdirected",
    "Host and the TLS server name do not agree",
    "set proxy_ssl_server_name on and proxy_ssl_name to the name in Host",
)


_too_many = always(
    "rate",
    "whoever answered limits how many connect",
    "behind a proxy it may count all clients as one: pass X-Forwarded-For, and let it trust the proxy",
)


def _unavailable(sent: RefusedHandshake, got: Said, client: RefusedHandshake | None) -> Iterator[Cause]:
    server = got.fields.get("server", "")
    who = f'"{excerpt(server)}"' if server else "a proxy or the server itself"
    yield Cause(
        "further-on",
        f"{who} could not reach the application, or is overloaded",
        "look into the log of whoever answered; Retry-After says when to come back"
        if "retry-after" in got.fields
        else "look into the log of whoever answered",
    )


_broken = always(
    "application-error",
    "the application failed while it looked at the handshake",
    "its own log holds the reason; some servers fail so when they are not made for WebSocket (WSGI without "
    "a worker that can)",
)


BY_STATUS: dict[int, tuple[Rule, ...]] = {
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


def by_class(sent: RefusedHandshake, got: Said, client: RefusedHandshake | None) -> Iterator[Cause]:
    """Say what can still be said of a status that nobody knows."""
    if got.status in BY_STATUS:
        return
    if 200 <= got.status < 300:
        yield from _ordinary_answer(sent, got, client)
    elif 300 <= got.status < 400:
        yield from _redirected(sent, got, client)
    else:
        yield Cause("unknown", f"{got.status} is no usual answer to a handshake", "look into the backend's log")


def _version(sent: RefusedHandshake, got: Said, client: RefusedHandshake | None) -> Iterator[Cause]:
    wanted = got.fields.get("sec-websocket-version")
    given = sent.fields.get("sec-websocket-version")
    if wanted and given and given not in re.split(r"[ ,]+", wanted):
        yield Cause(
            "version",
            f"the client speaks version {excerpt(given)} of the protocol and the backend {excerpt(wanted)}",
            "",
            sure=True,
        )


def _host_mismatch(sent: RefusedHandshake, client: RefusedHandshake | None) -> Iterator[Cause]:
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
            ORIGIN,
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


def _uri_mapping(sent: RefusedHandshake, client: RefusedHandshake | None) -> Iterator[Cause]:
    if client is None or client.target == sent.target:
        return
    yield Cause(
        "uri-mapping",
        f"the client asked for {excerpt(client.target)} and the backend was asked for {excerpt(sent.target)}",
        "a URI in proxy_pass (even a single slash) takes the place of the location's name: leave it out to pass the "
        "path as it is",
    )
