"""The static table of HPACK (RFC 7541, appendix A): fields that have a number without having been sent."""

from __future__ import annotations

_FIRST = """
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
"""
_OTHERS = """
accept-charset accept-encoding accept-language accept-ranges accept access-control-allow-origin age allow
authorization cache-control content-disposition content-encoding content-language content-length
content-location content-range content-type cookie date etag expect expires from host if-match
if-modified-since if-none-match if-range if-unmodified-since last-modified link location max-forwards
proxy-authenticate proxy-authorization range referer refresh retry-after server set-cookie
strict-transport-security transfer-encoding user-agent vary via www-authenticate
"""


def _fields() -> tuple[tuple[bytes, bytes], ...]:
    first = [line.partition(" ") for line in _FIRST.split("\n")[1:-1]]
    values = {"accept-encoding": b"gzip, deflate"}
    return (
        (b"", b""),
        *((name.encode(), value.encode()) for name, _, value in first),
        *((name.encode(), values.get(name, b"")) for name in _OTHERS.split()),
    )


STATIC = _fields()
"""Fields by number; nobody has the number 0."""
