"""Text that becomes part of a request line or of one line of a head: nothing in it may end that line.

Control characters are written as %XX, as they are in a URI, so that whoever gets them sees what was meant and nothing
else. In a request target a space is one of them.
"""

from __future__ import annotations

import re

_CODES = {chr(code): f"%{code:02X}" for code in range(256)}
# What no field-value holds (RFC 9110, section 5.5), what no request-target holds (RFC 9112, section 3.2), and what no
# Location may hold: a URI (RFC 3986, section 2), though spaces and bytes from 0x80 on are left to the client as nginx
# leaves them.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NOT_IN_TARGET = re.compile(r"[\x00-\x20\x7f]")
_NOT_IN_LOCATION = re.compile(r"[\x00-\x1f\x7f]")
# obs-fold (RFC 9112, section 5.2): a line that goes on in the next one.
_FOLD = re.compile(r"[ \t]*\r?\n[ \t]+")
# Every end of a line, a CR or LF alone too, with the white space around it.
_BREAK = re.compile(r"[ \t]*[\r\n][ \t\r\n]*")


def _encoded(match: re.Match[str]) -> str:
    return _CODES[match[0]]


def value_safe(text: str) -> str:
    """Return the value of a field in one line. A fold (RFC 9112, 5.2) becomes a space: that is how it is read.
    A tab stays."""
    if text.isprintable():
        return text
    if "\n" in text:
        text = _FOLD.sub(" ", text)
    return _CONTROL.sub(_encoded, text)


def target_safe(text: str) -> str:
    """Return the target of a request as it may stand in a request line."""
    if text.isprintable() and " " not in text:
        return text
    return _NOT_IN_TARGET.sub(_encoded, text)


def location_safe(text: str) -> str:
    """Return the URI of a Location in one line. A space stays, as nginx has it: it ends nothing there."""
    return text if text.isprintable() else _NOT_IN_LOCATION.sub(_encoded, text)


def nul_safe(text: str) -> str:
    """Return a text that ends where a NUL stands."""
    return text.replace("\0", "%00")


def written(text: str) -> str:
    """Return a value in one line that somebody has written into a configuration, over several lines perhaps."""
    if "\n" in text or "\r" in text:
        text = _BREAK.sub(" ", text).strip(" \t")
    return value_safe(text)
