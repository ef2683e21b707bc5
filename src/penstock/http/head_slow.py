"""Request heads the fast path of `head.py` does not take.

Read step by step, to take them or to say what is wrong.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from penstock.http.errors import BadRequest, excerpt
from penstock.http.fields import CONTROL, NAME, Headers
from penstock.http.host import split_host

# method (RFC 9110, section 9.1), as nginx takes it; request-target (RFC 9112, section 3.2), any visible character;
# HTTP-version (RFC 9112, section 2.3).
_METHOD = re.compile(r"[A-Z_-]+", re.ASCII)
_TARGET = re.compile(r"[!-~\x80-\xff]+", re.ASCII)
_HTTP_1 = re.compile(r"HTTP/1\.([0-9]+)", re.ASCII)
_HTTP_2_AND_UP = re.compile(r"HTTP/(?:[2-9]|1[0-9])", re.ASCII)

# The authority takes fewer characters than a Host header does, as in nginx.
# absolute-form (RFC 9112, section 3.2.2).
_ABSOLUTE = re.compile(
    r"""
    [A-Za-z] [A-Za-z0-9+.-]* ://
    (?P<authority> (?: \[ [A-Za-z0-9:._~!$&'()*+,;=-]* \] | [A-Za-z0-9.-]* ) (?: : [0-9]* )? )
    (?P<rest> [/?] .* )?
    """,
    re.ASCII | re.VERBOSE | re.DOTALL,
)
# authority-form (RFC 9112, section 3.2.3), for CONNECT.
_AUTHORITY = re.compile(
    r"(?: \[ [A-Za-z0-9:._~!$&'()*+,;=-]* \] | [A-Za-z0-9.-]* ) : [0-9]+", re.ASCII | re.VERBOSE
)

# field-name (RFC 9110, section 5.1) as nearly all are; "_" is for `underscores_in_headers`.
_PLAIN = re.compile(r"[A-Za-z0-9-]+", re.ASCII)
_PLAIN_OR_UNDERSCORE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


class RequestLine(NamedTuple):
    """A request line and where the line after it begins. host is "" where the target names none."""

    method: str
    target: str
    version: int
    host: str
    port: int
    end: int


def request_line(text: str) -> RequestLine:
    """Read the first line of a head. Raises `BadRequest`."""
    end = text.find("\r\n")
    line = text[:end] if end >= 0 else text
    method = _METHOD.match(line)
    if method is None or line[method.end() : method.end() + 1] not in ("", " "):
        raise BadRequest(400, "client sent invalid method")
    parts = line.split(" ")
    if end < 0 or not 2 <= len(parts) <= 3 or not _TARGET.fullmatch(parts[1]):
        raise BadRequest(400, "client sent invalid request")
    target, authority = _target(parts[0], parts[1])
    version = _version(parts[2]) if len(parts) == 3 else 9
    if version == 9 and parts[0] != "GET":
        raise BadRequest(400, "client sent invalid method in HTTP/0.9 request")
    if authority is None:
        return RequestLine(parts[0], target, version, "", 0, end + 2)
    host = split_host(authority)
    if host is None:
        raise BadRequest(400, "client sent invalid host in request line")
    return RequestLine(parts[0], target, version, *host, end + 2)


def _version(text: str) -> int:
    if _HTTP_2_AND_UP.match(text):
        raise BadRequest(505, "client sent invalid version")
    match = _HTTP_1.fullmatch(text)
    if match is None:
        raise BadRequest(400, "client sent invalid request")
    minor = match[1].lstrip("0")
    if len(minor) > 3:
        raise BadRequest(400, "client sent invalid request")
    return 11 if minor else 10


def _target(method: str, target: str) -> tuple[str, str | None]:
    """Split a target: what it is without scheme and authority, and the authority if it has one."""
    if method == "CONNECT":
        if not _AUTHORITY.fullmatch(target):
            raise BadRequest(400, "client sent invalid request")
        return "/", target
    if target.startswith("/"):
        return target, None
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise BadRequest(400, "client sent invalid request")
    rest = match["rest"] or "/"
    return "/" + rest if rest.startswith("?") else rest, match["authority"]


def request_fields(
    text: str, start: int, underscores: bool, ignore_invalid: bool
) -> tuple[Headers, tuple[str, ...]]:
    """Read the header lines of a request.

    The headers, and the lines that were ignored. Raises `BadRequest`.
    """
    if not text.endswith("\r\n\r\n"):
        raise BadRequest(400, "client sent invalid request")
    valid = (_PLAIN_OR_UNDERSCORE if underscores else _PLAIN).fullmatch
    headers: Headers = []
    dropped: list[str] = []
    for line in text[start:-4].split("\r\n") if start + 2 < len(text) else ():
        name, value = _field(line)
        if ignore_invalid and not valid(name):
            dropped.append(excerpt(line))
        else:
            headers.append((name, value))
    return headers, tuple(dropped)


def _field(line: str) -> tuple[str, str]:
    match = NAME.match(line)
    if match is None:
        raise BadRequest(400, f'client sent invalid header line: "{excerpt(line)}"')
    value = line[match.end() :].strip(" ")
    if CONTROL.search(value):
        raise BadRequest(400, f'client sent invalid header line: "{excerpt(line)}"')
    return match[1], value
