"""Request targets: taken apart, decoded, put into one spelling; and escaped again, by nginx's tables."""

from __future__ import annotations

import re
from collections.abc import Callable

from penstock.http.errors import BadRequest

# pct-encoded (RFC 3986, section 2.1), or a percent sign without its two digits.
_quoted = re.compile(r"%([0-9A-Fa-f]{2})?", re.ASCII)


def split_target(target: str) -> tuple[str, str]:
    """Split a target into its path and query (without "?"). What follows a "#" counts for nothing."""
    if "#" in target:
        target = target.partition("#")[0]
    path, _, args = target.partition("?")
    return path, args


def plain_target(target: str, merge_slashes: bool = True) -> tuple[str, str]:
    """Return the path a location is looked up by, and the query: `split_target` and `normalize`. Raises `BadRequest`.
    """
    if "%" not in target and "/." not in target and "//" not in target and "#" not in target:
        path, _, args = target.partition("?")  # as it is in nearly every request
        return path or "/", args
    path, args = split_target(target)
    return normalize(path, merge_slashes), args


def normalize(path: str, merge_slashes: bool = True) -> str:
    """Return the path a location is looked up by: %XX decoded, then ".", ".." and, as asked, "//" taken out.

    An encoded slash or dot counts as one. Raises `BadRequest` (400) for a broken %XX, for %00, and for a path
    that leads above the root.
    """
    if "%" in path:
        path = _quoted.sub(_decoded, path)
    elif not path:
        return "/"
    if "/." in path:
        return _without_dots(path, merge_slashes)
    if merge_slashes and "//" in path:
        return _slashes.sub("/", path)
    return path


# Segments of nothing (path-abempty, RFC 3986, section 3.3), for `merge_slashes`.
_slashes = re.compile("//+")


def _decoded(match: re.Match[str]) -> str:
    digits = match[1]
    if digits is None or digits == "00":
        raise BadRequest(400, "client sent invalid request")
    return chr(int(digits, 16))


def _without_dots(path: str, merge_slashes: bool) -> str:
    kept: list[str] = []
    first, *segments = path.split("/")
    last = segments[-1]
    for segment in segments:
        if segment == "..":
            if not kept:
                raise BadRequest(400, "client sent invalid request")
            kept.pop()
        elif segment != "." and (segment or not merge_slashes):
            kept.append(segment)
    if last in (".", "..") or (not last and merge_slashes):
        kept.append("")
    return first + "/" + "/".join(kept)


def exten(path: str) -> str:
    """Return the extension of the last segment of a path.

    What follows its last dot, if that is not its first character.
    """
    name = path[path.rfind("/") + 1 :]
    dot = name.rfind(".")
    return name[dot + 1 :] if dot > 0 else ""


def arg(args: str, name: str) -> str | None:
    """Return the first argument of that name in a query, as sent.

    `$arg_name`. Case does not matter. None if there is none.
    """
    if not args or not name:
        return None
    lower = args.lower()
    sought = name.lower() + "="
    at = lower.find(sought)
    while at > 0 and lower[at - 1] != "&":
        at = lower.find(sought, at + 1)
    if at < 0:
        return None
    start = at + len(sought)
    end = args.find("&", start)
    return args[start:] if end < 0 else args[start:end]


def _escaper(special: str, prefix: str = "%") -> Callable[[str], str]:
    """Make a function that writes as %XX the characters of a regular expression's class."""
    pattern = re.compile(f"[{special}]", re.ASCII)
    codes = {chr(code): f"{prefix}{code:02X}" for code in range(256)}

    def escape(text: str) -> str:
        return pattern.sub(lambda match: codes[match[0]], text) if pattern.search(text) else text

    return escape


# What RFC 3986 allows nowhere in a URI.
_NEVER = r"\x00-\x20\x22<>\\^`{|}\x7f-\xff"

escape_uri = _escaper(_NEVER + "#%?")
"""For a path: NGX_ESCAPE_URI."""
escape_args = _escaper(_NEVER + "#%?&+;")
"""For one value in a query: NGX_ESCAPE_ARGS."""
escape_component = _escaper(r"^A-Za-z0-9._~-")
"""For anything: NGX_ESCAPE_URI_COMPONENT."""


_entities = {"<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;"}
_entity = re.compile('[<>&"]')


def escape_entities(text: str) -> str:
    """Return text for a page, with entities for what would be markup."""
    return _entity.sub(lambda match: _entities[match[0]], text)


# The same as nginx decodes it where it must not fail: a broken one goes with what stands behind it.
_broken_or_quoted = re.compile(
    r"%(?: ([0-9A-Fa-f]{2}) | [0-9A-Fa-f][^0-9A-Fa-f]? | ([^0-9A-Fa-f]) )?", re.VERBOSE | re.DOTALL
)


def unescape(text: str) -> str:
    """Decode %XX.

    Of a broken one nginx keeps only the character that cannot be its first digit, and so do we.
    """
    if "%" not in text:
        return text
    return _broken_or_quoted.sub(lambda match: chr(int(match[1], 16)) if match[1] else match[2] or "", text)


def unescape_uri(text: str) -> str:
    """Decode as `unescape`, up to the first question mark, plain or encoded (NGX_UNESCAPE_URI).

    What follows stays as it is.
    """
    return _unescape_until_args(text, lambda match: chr(int(match[1], 16)))


def unescape_redirect(text: str) -> str:
    """Decode as `unescape_uri`, but only characters that may stand in a Location (NGX_UNESCAPE_REDIRECT)."""
    return _unescape_until_args(text, _decoded_for_redirect)


def _decoded_for_redirect(match: re.Match[str]) -> str:
    char = chr(int(match[1], 16))
    return char if "%" < char < "\x7f" else match[0]


def _unescape_until_args(text: str, decode: Callable[[re.Match[str]], str]) -> str:
    if "%" not in text:
        return text
    done: list[str] = []
    at = 0
    for match in _broken_or_quoted.finditer(text):
        before = text[at : match.start()]
        if "?" in before:
            break
        piece = decode(match) if match[1] else match[2] or ""
        done += (before, piece)
        at = match.end()
        if piece == "?":
            break
    return "".join(done) + text[at:]
