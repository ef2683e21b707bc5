"""Lists of media types, as `gzip_types` and its kin have them (nginx: ngx_http_types_slot)."""

from __future__ import annotations

from typing import Any, Final

from penstock.config.key import Key
from penstock.config.kinds import Kind
from penstock.config.registry import HTTP_LEVELS, Context
from penstock.config.scope import Call
from penstock.config.settings import directive
from penstock.http.request import Answer

ANY: Final = frozenset({"*"})
HTML: Final = frozenset({"text/html"})
_LISTED: Key[dict[str, set[str]]] = Key("media types by directive")
"""Those that the lines of a level have so far."""


def _types(call: Call) -> frozenset[str]:
    given = call.scope.data.setdefault(_LISTED, {}).setdefault(call.name, set(HTML))
    for word in call.args:
        if word.text == "*" or "*" in given:
            given.add("*")
            return ANY
        name = word.text.lower()
        if name in given:
            call.compilation.problems.warn(f'duplicate MIME type "{name}"', word.span)
        given.add(name)
    return frozenset(given)


media_types = Kind(_types, 1, None, "mime-type ...")
"""text/html is always among them; `*` stands for all."""


def all_types(old: frozenset[str], new: frozenset[str]) -> frozenset[str]:
    """Combine the types of two lines."""
    return ANY if old is ANY or new is ANY else old | new


# Any: as `directive`, it stands for the value of an attribute.
def types_directive(
    name: str,
    page: str,
    default: frozenset[str] = HTML,
    shown: str = "text/html",
    where: Context = HTTP_LEVELS,
) -> Any:
    """Declare the directive of a filter that lists the types it is for. `page` is the one of nginx's documentation."""
    return directive(
        name, where=where, takes=media_types, default=default, nginx=page, shown=shown, again=all_types
    )


def listed(types: frozenset[str], answer: Answer) -> bool:
    """Return whether an answer is of one of these types."""
    if types is ANY:
        return True
    kind = answer.content_type
    return kind is not None and kind.partition(";")[0].strip().lower() in types
