"""`log_format`: text with variables, compiled once, written for every request.

Unlike in other text, what is not found is written as `-`, and values are escaped: quotes, backslashes and all bytes
that are not printable ASCII as `\\xXX` (`escape=default`), as JSON wants (`json`), or not at all (`none`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from penstock.config.vocabulary import HTTP_WORDS, VOCABULARIES, Getter, SomeRequest, Variable, Vocabulary
from penstock.observe.format_compiler import (
    NOTHING_TO_ESCAPE,
    Escaping,
    Freezer,
    Liner,
    Thawer,
    liner_source,
    make_freezer,
    make_liner,
    make_thawer,
)

COMBINED = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"'
)

_UNSAFE = re.compile(r"[^ !#-\[\]-~]", re.ASCII)
_UNSAFE_JSON = re.compile(r'[\x00-\x1f"\\]', re.ASCII)
_JSON = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}

Escape = Callable[[str], str]


def escape_default(text: str) -> str:
    """Write `\\xXX` for quotes, backslashes, and all that is not printable ASCII."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return _UNSAFE.sub(lambda match: f"\\x{ord(match[0]):02X}", text)


def escape_json(text: str) -> str:
    """Escape text as in a JSON string (RFC 8259 section 7), bytes beyond ASCII as they are."""
    return _UNSAFE_JSON.sub(lambda match: _JSON.get(match[0]) or f"\\u{ord(match[0]):04X}", text)


def escape_none(text: str) -> str:
    return text


ESCAPES: dict[str, tuple[Escape, str]] = {
    "default": (escape_default, "-"),
    "json": (escape_json, ""),
    "none": (escape_none, ""),
}
"""By the name in `escape=`: how values are escaped, and what stands for one that is not found."""

UNHARMED: dict[Escape, str] = {escape_default: NOTHING_TO_ESCAPE, escape_none: "True"}


class Format:
    """A compiled format. `pieces` are its texts with None where a variable goes, in order."""

    __slots__ = (
        "_escape",
        "_escaping",
        "_freeze",
        "_getters",
        "_late",
        "_line",
        "_missing",
        "_thaw",
        "names",
        "pieces",
        "self_contained",
        "words",
    )

    def __init__(
        self,
        pieces: Sequence[str | None],
        names: Sequence[str],
        escape: str = "default",
        words: Vocabulary = HTTP_WORDS,
    ) -> None:
        self.words = words
        self.pieces = tuple(pieces)
        self.names = tuple(names)
        self._escape, self._missing = ESCAPES[escape]
        self._getters: list[Getter] = [_unbound] * len(names)
        self._late = [False] * len(names)
        self.self_contained = True
        """Whether what comes late is all built in, so that it asks for a few attributes and not for a whole request."""
        self._escaping = Escaping(self._escape, self._missing, UNHARMED.get(self._escape, "False"))
        self._line: Liner | None = None
        self._freeze: Freezer | None = None
        self._thaw: Thawer | None = None

    def bind(self, index: int, found: Variable) -> None:
        """Give the variable at `index` of `names` its getter."""
        self._getters[index] = found.get
        self._late[index] = found.late
        if found.late and self.words.variables.get(found.name) is not found:
            self.self_contained = False

    def line(self, request: SomeRequest) -> bytes:
        """Write the line for a request that is over, with its line feed."""
        return (self._line or self.liner())(request)

    def liner(self) -> Liner:
        """Return what writes lines."""
        if self._line is None:
            # Not before every variable is bound, and only where something is logged.
            self._line = make_liner(self.pieces, self._getters, self._escaping)
        return self._line

    def source(self, name: str) -> str:
        """Write the source of the function that writes a line, for people, under a name."""
        return liner_source(self.pieces, self.names, self._getters, self._escaping, name)

    def freeze(self, request: SomeRequest) -> str:
        """Write the part of the line that is known already, to be finished by `thaw`."""
        return (self._freeze or self.freezer())(request)

    def freezer(self) -> Freezer:
        """Return what freezes lines."""
        if self._freeze is None:
            self._freeze = make_freezer(self.pieces, self._getters, self._late, self._escaping)
        return self._freeze

    def thaw(self, frozen: str, request: SomeRequest) -> bytes:
        """Write the whole line. Of `request`, only late variables are asked."""
        return (self._thaw or self.thawer())(request, frozen)

    def thawer(self) -> Thawer:
        """Return what thaws them."""
        if self._thaw is None:
            self._thaw = make_thawer(self._getters, self._late, self._escaping)
        return self._thaw

    def gaps(self, request: SomeRequest) -> tuple[list[str | None], list[str]]:
        """Return what fills the gaps of a frozen line when it is written elsewhere: the name of a built-in variable, or
        None where the variable is this configuration's own, and then the text that it has now."""
        names: list[str | None] = []
        texts: list[str] = []
        for name, get, late in zip(self.names, self._getters, self._late, strict=True):
            if not late:
                continue
            if _built_in(name, self.words) is not None:
                names.append(name)
                continue
            names.append(None)
            value = get(request)
            texts.append(self._missing if value is None else self._escape(value).replace("\0", "\\x00"))
        return names, texts

    @property
    def manner(self) -> dict[str, object]:
        """Return the names of `escape=` and of the vocabulary."""
        escape = next(name for name, (escape, _) in ESCAPES.items() if escape is self._escape)
        return {"escape": escape, "language": self.words.name}


@lru_cache(maxsize=256)
def format_of_gaps(names: tuple[str, ...], escape: str, language: str) -> Format:
    """Make a format for lines that were frozen elsewhere, whose gaps are these built-in variables; one for all that are
    alike. `language` is the name of their vocabulary."""
    words = VOCABULARIES[language]
    form = Format([None] * len(names), names, escape, words)
    for index, name in enumerate(names):
        form.bind(index, _built_in(name, words) or Variable(name, _not_here, late=True))
    return form


def _built_in(name: str, words: Vocabulary) -> Variable | None:
    found = words.variables.get(name)
    return found if found is not None and found.late else None


def _not_here(request: SomeRequest) -> None:
    """A variable that this version does not have."""


def _unbound(request: SomeRequest) -> str:
    raise AssertionError("a log format is used before the configuration is complete")
