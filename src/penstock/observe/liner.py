"""A log format as one function: what its variables say is asked, checked and put together without a call for each.

The source of that function consists of expressions that are written in this program (`Inline`); of a configuration
there are only names of headers in it, quoted. Its text is handed over as constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from penstock.config.variables import Getter, Inline

Liner: TypeAlias = Callable[[Any], bytes]
"""Makes the line for a request that is over, with its line feed."""

NOTHING_TO_ESCAPE = "joined.isascii() and joined.isprintable() and '\"' not in joined and '\\\\' not in joined"
"""What `escape_default` leaves as it is: one look at all values finds out, for nearly every line."""


def make_liner(
    pieces: Sequence[str | None], getters: Sequence[Getter], escape: Callable[[str], str], missing: str, unharmed: str
) -> Liner:
    """`pieces` have None where a variable goes. `unharmed` is an expression over `joined`, all values in one, which
    tells that none of them needs `escape`."""
    names: dict[str, Any] = {"escape": escape, "missing": missing}
    source = ["def line(request):"]
    if any(hasattr(get, "inline") for get in getters):
        source += ("    head = request.head", "    fields = head.fields")
    doubtful: list[str] = []
    for at, get in enumerate(getters):
        value = f"v{at}"
        names[f"get{at}"] = get
        inline: Inline | None = getattr(get, "inline", None)
        if inline is None:
            source.append(f"    {value} = get{at}(request)")
        else:
            source.append(f"    {value} = {inline.expression.replace('get(request)', f'get{at}(request)')}")
        if inline is None or not inline.plain:
            source += (f"    if {value} is None:", f"        {value} = missing")
            doubtful.append(value)
    if doubtful:
        source.append("    joined = f'" + " ".join(f"{{{value}}}" for value in doubtful) + "'")
        source.append(f"    if not ({unharmed}):")
        source += (f"        {value} = escape({value})" for value in doubtful)
    values = iter(range(len(getters)))
    shape = ""
    for at, piece in enumerate(pieces):
        if piece is None:
            shape += f"{{v{next(values)}}}"
        else:
            names[f"t{at}"] = piece
            shape += f"{{t{at}}}"
    source.append(f"    return f'{shape}\\n'.encode('latin-1', 'replace')")
    exec("\n".join(source), names)
    made: Liner = names["line"]
    return made
