"""Request targets with which a handshake comes to a location."""

from __future__ import annotations

import re
from collections.abc import Iterator

from penstock.config.regex.pcre import MatchFailed, compile_pcre
from penstock.doctor.site.level import Level
from penstock.doctor.site.traffic import fixed_path

_QUERY = {"/socket.io/": "?EIO=4&transport=websocket", "/engine.io/": "?EIO=4&transport=websocket"}
_GROUPS = re.compile(r"\((?:\?(?::|<\w+>|P<\w+>|'\w+'))?([^()|]*)(?:\|[^()]*)?\)([?*+]|\{[\d,]*\})?")
_CLASS = re.compile(r"(?:\\[wdhXH]|\[(\^?(?:\\.|[^\]\\])+)\])(?:[*+?]\??|\{(\d+)[\d,]*\})?")
_MOST = 6


def targets(location: Level) -> list[str]:
    """Choose a few targets to try, the likeliest first; none for one that no request names."""
    found = [each for each in _guessed(location) if each.startswith("/")]
    return list(dict.fromkeys(found))[:_MOST]


def own_target(location: Level) -> str | None:
    """Return what the library of an exact location, or of a pattern from the beginning of the path, asks for."""
    fixed, path = fixed_path(location), location.path.replace("\\", "")
    if fixed is None or (location.modifier != "=" and not path.startswith(f"^{fixed.rstrip('/')}")):
        return None
    before = path.removeprefix("^").partition(fixed.rstrip("/"))[0]
    return f"{before}{fixed}{_QUERY.get(fixed, '')}"


def _guessed(location: Level) -> Iterator[str]:
    path, fixed = location.path, fixed_path(location)
    if location.modifier in ("", "^~"):
        if fixed is not None and path.rstrip("/").endswith(fixed.rstrip("/")):
            yield path.rstrip("/") + "/" + _QUERY.get(fixed, "")
        yield path
        yield f"{path.rstrip('/')}/x"
        return
    if location.modifier == "=":
        yield path
        return
    if location.modifier == "$":
        outer = None if location.outer is None else location.outer.enclosing("location")
        yield from ("/", "/x") if outer is None else _guessed(outer)
        return
    for text in _of_pattern(path):
        if _matches(location, text):
            yield text + (_QUERY.get(fixed, "") if fixed else "")


def _matches(location: Level, text: str) -> bool:
    try:
        found = compile_pcre(location.path, caseless=location.modifier == "~*").match(text)
    except (ValueError, MatchFailed):
        return False
    return found is not None


def _example(match: re.Match[str]) -> str:
    """A character of a class, as often as it has to be there."""
    inside = match[1]
    if inside is None:
        char = "1"
    elif inside.startswith("^"):
        char = "x"
    else:
        escaped = re.match(r"\\([a-zA-Z])", inside)
        char = "1" if escaped is not None else inside.lstrip("\\")[:1]
    return char * min(64, int(match[2] or 1))


def _of_pattern(pattern: str) -> Iterator[str]:
    """Texts that a pattern may match: groups by their first branch, classes and repetitions by an example."""
    text = pattern
    for _ in range(8):
        short = _GROUPS.sub(lambda match: "" if match[2] in ("?", "*") else match[1], text)
        if short == text:
            break
        text = short
    text = _CLASS.sub(_example, text)
    text = re.sub(r"(?<!\\)\.[*+]\??", "x", text)
    anchored = text.startswith(("^", "\\A"))
    text = text.removeprefix("^").removeprefix("\\A").removesuffix("$")
    for optional in ("", r"\1"):
        plain = re.sub(r"(\\?.)\?", optional, text)
        plain = re.sub(r"(\\?.)[*+]", r"\1", plain)
        plain = re.sub(r"(?<!\\)\.", "x", plain)
        plain = re.sub(r"\\(.)", r"\1", plain)
        for before in ("",) if anchored else ("", "/", "/x/", "/x"):
            for after in ("", "/", "/x"):
                yield f"{before}{plain}{after}"
