"""Values at paths of a JSON text (RFC 8259), without the rest of it being made into objects that stay.

Paths are written `user.name`, `tags[0]`, `["a.b"].c`: members behind dots or as quoted texts in brackets, places of a
list in brackets, counted from zero. A value is text: of a string what it says, of everything else what was written.
"""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]

_SPACE = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_STEP = re.compile(r'\[(?:([0-9]+)|("[^"\\]*(?:\\.[^"\\]*)*"))\]|([^.\[$][^.\[]*)', re.DOTALL)
_LONE = re.compile(r"\\\\|\\u[dD](?:[89abAB][0-9a-fA-F]{2}(\\u[dD][c-fC-F][0-9a-fA-F]{2})?|[c-fC-F][0-9a-fA-F]{2})")
"""A pair of backslashes, which escapes nothing behind it, or halves of a character beyond U+FFFF, whole or lone."""


class NotJson(ValueError):
    """Raised for a text that is no JSON, or is nested too deeply."""


def _no_constant(name: str) -> object:
    raise NotJson(name)


_scan = json.JSONDecoder(parse_constant=_no_constant, parse_int=str, parse_float=str).scan_once  # type: ignore[attr-defined]


class PathNode:
    """A step of the paths that are asked for: members and places below it, and the numbers of those that end here."""

    __slots__ = ("ends", "members", "places")

    def __init__(self) -> None:
        self.members: dict[str, PathNode] = {}
        self.places: dict[int, PathNode] = {}
        self.ends: list[int] = []

    def add(self, path: str, number: int) -> None:
        """Ask for a path; `number` is what its value will be called. Raises `ValueError` for a path that is none."""
        node, at = self, 0
        while at < len(path) or node is self:
            if at and path[at] == ".":
                at += 1
                if path.startswith("[", at):
                    raise ValueError(path)
            elif at and path[at] != "[":
                raise ValueError(path)
            step = _STEP.match(path, at)
            if step is None:
                raise ValueError(path)
            place, quoted, name = step.groups()
            if place is not None:
                node = node.places.setdefault(int(place), PathNode())
            else:
                node = node.members.setdefault(name if quoted is None else _member(quoted), PathNode())
            at = step.end()
        node.ends.append(number)


def _member(quoted: str) -> str:
    _whole(quoted)
    return _latin(scanstring(_unicode(quoted), 1, True)[0])


def extract(text: str, asked: PathNode, depth: int) -> dict[int, str]:
    """Return the values at the paths that are asked for, by their numbers; what is not there is left out. The last of
    several members of one name counts. Raises `NotJson`, also where more than `depth` levels are nested."""
    if text.count("[") + text.count("{") > depth and _nested(text) > depth:
        raise NotJson("nested too deeply")
    if "\\u" in text:
        _whole(text)
    found: dict[int, str] = {}
    source = _unicode(text)
    try:
        end = _value(source, _SPACE.match(source, 0).end(), asked, found)  # type: ignore[union-attr]
    except (StopIteration, IndexError) as error:
        raise NotJson("cut off, or not JSON") from error
    except json.JSONDecodeError as error:
        raise NotJson(error.msg) from error
    if _SPACE.fullmatch(source, end) is None:
        raise NotJson("something behind its end")
    return found


def _unicode(text: str) -> str:
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "surrogateescape")


def _latin(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def _whole(text: str) -> None:
    for match in _LONE.finditer(text):
        if match[0] != "\\\\" and match[1] is None:
            raise NotJson("half of a character")


def _nested(text: str) -> int:
    """How deep lists and objects are nested."""
    now = most = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        now += 1 if bracket in "[{" else -1
        most = max(most, now)
    return most


def _value(text: str, at: int, node: PathNode | None, found: dict[int, str]) -> int:
    """Read the value that begins here, and return where it ends."""
    if node is not None and node.members and text[at] == "{":
        end = _object(text, at, node, found)
        value: object = None
    elif node is not None and node.places and text[at] == "[":
        end = _list(text, at, node, found)
        value = None
    else:
        value, end = _scan(text, at)
    if node is not None and node.ends:
        shown = _latin(value if isinstance(value, str) and text[at] == '"' else text[at:end])
        found.update(dict.fromkeys(node.ends, shown))
    return end


def _after(text: str, at: int) -> int:
    """Where what stands behind white space begins."""
    match = _SPACE.match(text, at)
    return at if match is None else match.end()


def _object(text: str, at: int, node: PathNode, found: dict[int, str]) -> int:
    at = _after(text, at + 1)
    if text[at] == "}":
        return at + 1
    while True:
        if text[at] != '"':
            raise NotJson("a member without a name")
        name, at = scanstring(text, at + 1, True)
        at = _after(text, at)
        if text[at] != ":":
            raise NotJson("a member without a value")
        at = _after(text, _value(text, _after(text, at + 1), node.members.get(_latin(name)), found))
        if text[at] == "}":
            return at + 1
        if text[at] != ",":
            raise NotJson("members without a comma")
        at = _after(text, at + 1)


def _list(text: str, at: int, node: PathNode, found: dict[int, str]) -> int:
    at, place = _after(text, at + 1), 0
    if text[at] == "]":
        return at + 1
    while True:
        at = _after(text, _value(text, at, node.places.get(place), found))
        if text[at] == "]":
            return at + 1
        if text[at] != ",":
            raise NotJson("places without a comma")
        at, place = _after(text, at + 1), place + 1
