"""Status codes in nginx's words: status lines and error pages."""

from __future__ import annotations

import re

REASONS = {
    100: "Continue",
    101: "Switching Protocols",
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    206: "Partial Content",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    303: "See Other",
    304: "Not Modified",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Time-out",
    409: "Conflict",
    410: "Gone",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Request Entity Too Large",
    414: "Request-URI Too Large",
    415: "Unsupported Media Type",
    416: "Requested Range Not Satisfiable",
    421: "Misdirected Request",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
    505: "HTTP Version Not Supported",
    507: "Insufficient Storage",
}
"""What a status line says after the number. A number that is missing here has nothing after it."""

# Pages say it in another way, or there is none.
_TITLES = {
    status: text for status, text in REASONS.items() if status in (301, 303, 307, 308) or status >= 400
} | {302: "Found", 401: "Authorization Required"}

_SHOWN_AS_400 = {
    494: "Request Header Or Cookie Too Large",
    495: "The SSL certificate error",
    496: "No required SSL certificate was sent",
    497: "The plain HTTP request was sent to HTTPS port",
}
"""nginx's own numbers, for `error_page` and the log: clients see 400."""


def shown(status: int) -> int:
    """Return the status that a client sees."""
    return 400 if status in _SHOWN_AS_400 else status


def status_line(status: int) -> str:
    """Return the status line after the version: "404 Not Found"; with a trailing space if there is no reason."""
    return f"{status} {REASONS.get(status, '')}"


_pages: dict[tuple[int, str], bytes] = {}
_PAGES_MOST = 256


def error_page(status: int, product: str) -> bytes:
    """Make the page for a status, signed by `product` ("nginx/1.31.5"); empty if nginx has none."""
    page = _pages.get((status, product))
    if page is None:
        if len(_pages) >= _PAGES_MOST:
            _pages.clear()
        page = _pages[status, product] = _page(status, product)
    return page


def _page(status: int, product: str) -> bytes:
    detail = _SHOWN_AS_400.get(status)
    if detail is not None:
        title, heading = f"400 {detail}", "400 Bad Request"
    elif status in _TITLES:
        title = heading = f"{status} {_TITLES[status]}"
    else:
        return b""
    lines = [
        "<html>",
        f"<head><title>{title}</title></head>",
        "<body>",
        f"<center><h1>{heading}</h1></center>",
    ]
    if detail is not None:
        lines.append(f"<center>{detail}</center>")
    lines += [f"<hr><center>{product}</center>", "</body>", "</html>", ""]
    return "\r\n".join(lines).encode("latin-1")


_NOT_IN_REFRESH = re.compile(r"[\x00-\x20\"'\x7f-\xff]")


def refresh_page(location: str) -> bytes:
    """Make the page that leads on to a place by itself, for browsers that do not take a redirection for one."""
    place = _NOT_IN_REFRESH.sub(lambda found: f"%{ord(found[0]):02X}", location)
    page = f'<html><head><meta http-equiv="Refresh" content="0; URL={place}"></head><body></body></html>\r\n'
    return page.encode("latin-1")
