"""Listings of directories as HTML, JSON and XML, laid out as nginx does."""

from __future__ import annotations

import re
import time
from typing import NamedTuple

from penstock.http.dates import http_date
from penstock.http.uri import escape_component, escape_entities

WIDTH = 50
"""Columns of a name in HTML."""
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
GIGA, MEGA, KILO = 1 << 30, 1 << 20, 1 << 10
SHORT = 9999
"""Sizes up to this are written in full."""
_JSON = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_special = re.compile(r'["\\\x00-\x1f]', re.ASCII)


class Entry(NamedTuple):
    """One name in a directory; `kind` is directory, file or other, the time seconds since 1970."""

    name: str
    kind: str
    modified: int
    size: int


def html(uri: str, entries: list[Entry], *, utf8: bool, exact_size: bool, local_time: bool) -> str:
    """Write the listing as a page with links. `utf8`: a column is a character, not a byte."""
    title = escape_entities(uri)
    lines = [
        "<html>",
        f"<head><title>Index of {title}</title></head>",
        "<body>",
        f'<h1>Index of {title}</h1><hr><pre><a href="../">../</a>',
    ]
    clock = time.localtime if local_time else time.gmtime
    for each in entries:
        when = clock(each.modified)
        date = f"{when.tm_mday:02d}-{MONTHS[when.tm_mon - 1]}-{when.tm_year} {when.tm_hour:02d}:{when.tm_min:02d}"
        lines.append(f"{_link(each, utf8=utf8)} {date} {_size(each, exact=exact_size)}")
    return "\r\n".join((*lines, "</pre><hr></body>", "</html>", ""))


def _link(entry: Entry, *, utf8: bool) -> str:
    slash = "/" if entry.kind == "directory" else ""
    name = _characters(entry.name) if utf8 else entry.name
    if len(name) > WIDTH:
        shown, room = f"{escape_entities(_bytes(name[: WIDTH - 3], utf8=utf8))}..&gt;", 0
    else:
        written = slash if len(name) < WIDTH else ""
        shown, room = escape_entities(entry.name) + written, WIDTH - len(name) - len(written)
    return f'<a href="{escape_component(entry.name)}{slash}">{shown}</a>{" " * room}'


def _characters(name: str) -> str:
    """A name as characters; a byte that is none stands for itself."""
    return name.encode("latin-1").decode("utf-8", "surrogateescape")


def _bytes(name: str, *, utf8: bool) -> str:
    return name.encode("utf-8", "surrogateescape").decode("latin-1") if utf8 else name


def _size(entry: Entry, *, exact: bool) -> str:
    if entry.kind == "directory":
        return f"{'-':>19}" if exact else f"{'-':>7}"
    size = entry.size
    if exact:
        return f"{size:19d}"
    for unit, letter in ((GIGA, "G"), (MEGA, "M")):
        if size >= unit:
            return f"{(size + unit // 2) // unit:6d}{letter}"
    return f"{(size + KILO // 2) // KILO:6d}K" if size > SHORT else f"{size:7d}"


def json(entries: list[Entry], callback: str) -> str:
    """Write the listing as a list of objects; with a callback, as a call of it."""
    lines = []
    for each in entries:
        name = _special.sub(lambda found: _JSON.get(found[0]) or f"\\u{ord(found[0]):04X}", each.name)
        size = f', "size":{each.size}' if each.kind == "file" else ""
        lines.append(
            f'\r\n{{ "name":"{name}", "type":"{each.kind}", "mtime":"{http_date(each.modified)}"{size} }}'
        )
    made = f"[{','.join(lines)}\r\n]"
    return f"/* callback */\r\n{callback}({made});" if callback else made


def xml(entries: list[Entry]) -> str:
    """Write the listing as an element for each name."""
    lines = ['<?xml version="1.0"?>', "<list>"]
    for each in entries:
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(each.modified))
        size = f' size="{each.size}"' if each.kind == "file" else ""
        lines.append(f'<{each.kind} mtime="{when}"{size}>{escape_entities(each.name)}</{each.kind}>')
    return "\r\n".join((*lines, "</list>", ""))
