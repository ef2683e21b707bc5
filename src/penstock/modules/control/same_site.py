"""Whether a browser asks in the name of our own page, or another site does so behind its user's back."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from penstock.config.scope import Call, Scope
from penstock.http.host import split_host
from penstock.modules.access.access import Access
from penstock.modules.access.auth_basic import AuthBasic
from penstock.modules.access.auth_request import AuthRequest
from penstock.modules.tls.verify import ClientCertificates
from penstock.modules.websocket.origins import is_same_host, parse_origin

if TYPE_CHECKING:
    from penstock.config.source import Span
    from penstock.http.request import Request

_OURS = ("same-origin", "none")


def strange(request: Request) -> str:
    """Say why a request is not answered that another site may have sent; "" where nothing speaks against it.

    Browsers say where a request comes from (Fetch Metadata, `Sec-Fetch-Site`; RFC 6454, `Origin`). A page whose own
    name leads to this address is of the same origin by that (DNS rebinding): such a name is not the server's.
    """
    fields = request.head.fields
    site, origin = fields.get("sec-fetch-site"), fields.get("origin")
    if site is not None and site not in _OURS:
        return f"a page of another site asks (Sec-Fetch-Site: {site})"
    if origin is not None:
        parsed = parse_origin(origin)
        if parsed is None or not is_same_host(parsed, request):
            return "a page of another origin asks (Origin)"
    if (site is not None or origin is not None) and not own_name(request):
        return "a browser asks for a name that is not the server's: add it to server_name"
    return ""


def own_name(request: Request) -> bool:
    """Return whether the host that is asked for is an address, `localhost`, or a name of the server."""
    asked = split_host(request.head.fields.get("host", ""))
    if asked is None:
        return False
    host = asked[0]
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return request.connection.listen.names.search(host) is not None
    return True


def may_write(call: Call) -> bool:
    """Read `write=on`. Raises `ConfigError`."""
    write = False
    for word in call.args:
        if word.text not in ("write=on", "write=off"):
            raise call.fail(f'invalid parameter "{word.text}"', word, hint="write=on, or nothing")
        write = word.text == "write=on"
    return write


def warn_unprotected(scope: Scope, name: str, span: Span, *, writes: bool) -> None:
    """Warn of a page that everybody may use."""
    access, basic, asked = scope.settings(Access), scope.settings(AuthBasic), scope.settings(AuthRequest)
    if access.rules or basic.realm is not None or asked.uri is not None:
        return
    if scope.settings(ClientCertificates).verify == "on":
        return
    words = "change upstreams and close tunnels" if writes else "see what goes on here"
    scope.compilation.problems.warn(
        f'"{name}" is not protected: whoever can connect may {words}; add: allow 127.0.0.1; deny all; (or auth_basic)',
        span,
    )
