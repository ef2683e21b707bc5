"""Which of several answers under one key is a client's: by the headers that `Vary` names (RFC 9111, section 4.1)."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING

from penstock.http.fields import LOWER

if TYPE_CHECKING:
    from collections.abc import Iterable

LISTS = frozenset({"accept-charset", "accept-encoding", "accept-language"})
"""Headers in which spaces and commas say nothing of their own."""
DIGEST = 16
_words = re.compile(r"[^ ,]+").findall


def variant_of(base: bytes, vary: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return what stands for those headers of a request, under a key that `base` stands for."""
    made = blake2b(base, digest_size=DIGEST)
    given: dict[str, list[str]] = {}
    for name, value in headers:
        given.setdefault(LOWER[name], []).append(value)
    for name in _words(vary.lower()):
        values = given.get(name, [])
        text = ",".join(_words(",".join(values)) if name in LISTS else values)
        # The lengths keep two headers from looking like one.
        made.update(f"{name}:{len(values)}:{len(text)}:{text}\r\n".encode("latin-1"))
    return made.digest()
