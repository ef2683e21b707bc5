"""Lists of media types, as `gzip_types` and its kin have them (nginx: ngx_http_types_slot)."""

from __future__ import annotations

from typing import Final

from penstock.config.kinds import Kind
from penstock.config.scope import Call
from penstock.http.request import Answer

ANY: Final = frozenset({"*"})
HTML: Final = frozenset({"text/html"})


def _types(call: Call) -> frozenset[str]:
    found = set(HTML)
    given: set[str] = set()
    for word in call.args:
        if word.text == "*":
            return ANY
        name = word.text.lower()
        if name in HTML or name in given:
            call.compilation.problems.warn(f'duplicate MIME type "{word.text}"', word.span)
        given.add(name)
    return frozenset(found | given)


media_types = Kind(_types, 1, None, "mime-type ...")
"""text/html is always among them; `*` stands for all."""


def listed(types: frozenset[str], answer: Answer) -> bool:
    """Whether an answer is of one of these types."""
    if types is ANY:
        return True
    kind = answer.content_type
    return kind is not None and kind.partition(";")[0].strip().lower() in types
