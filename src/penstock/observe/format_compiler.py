"""A log format as functions: what its variables say is asked, checked and put together without a call for each.

The source of these functions consists of expressions that are written in this program (`Inline`); of a configuration
there are only names of headers in it, quoted. Its text is handed over as constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from penstock.config.variables import Getter, Inline, SomeRequest

Liner: TypeAlias = Callable[[SomeRequest], bytes]
"""Makes the line for a request that is over, with its line feed."""

Freezer: TypeAlias = Callable[[SomeRequest], str]
"""Makes the part of a line that is known while the request goes on, with a NUL in each gap."""

Thawer: TypeAlias = Callable[[SomeRequest, str], bytes]
"""Fills the gaps with what came late, and ends the line."""

NOTHING_TO_ESCAPE = "joined.isascii() and joined.isprintable() and '\"' not in joined and '\\\\' not in joined"
"""What `escape_default` leaves as it is: one look at all values finds out, for nearly every line."""


@dataclass(frozen=True, slots=True)
class Escaping:
    """`missing` stands for what is not found. `unharmed` is an expression over `joined`, all values in one, which tells
    that none of them needs `escape`."""

    escape: Callable[[str], str]
    missing: str
    unharmed: str


def make_liner(pieces: Sequence[str | None], getters: Sequence[Getter], escaping: Escaping) -> Liner:
    """Make the function that writes a line. `pieces` have None where a variable goes, in the order of the getters."""
    shape, texts = _shape(pieces, [f"v{at}" for at in range(len(getters))])
    result = f"f'{shape}\\n'.encode('latin-1', 'replace')"
    made: Liner = _function("request", dict(enumerate(getters)), escaping, result, texts)
    return made


def liner_source(
    pieces: Sequence[str | None], names: Sequence[str], getters: Sequence[Getter], escaping: Escaping, name: str
) -> str:
    """Write that function's source for people, under a name: with its texts where they belong, and a variable's name
    behind each value. `names` are those of the variables."""
    left = iter(range(len(getters)))
    shape = "".join(f"{{v{next(left)}}}" if piece is None else _quoted(piece) for piece in pieces)
    told = {at: f"${each}" for at, each in enumerate(names)}
    result = f"f'{shape}\\n'.encode('latin-1', 'replace')"
    return _source(name, "request", dict(enumerate(getters)), escaping, result, told)


def _quoted(text: str) -> str:
    """A text as it stands between the single quotes of an f-string."""
    return repr(f'"{text}')[2:-1].replace("{", "{{").replace("}", "}}")


def make_freezer(
    pieces: Sequence[str | None], getters: Sequence[Getter], late: Sequence[bool], escaping: Escaping
) -> Freezer:
    """Make the function that freezes a line; `late` says which variables leave a gap."""
    shape, texts = _shape(pieces, ["gap" if is_late else f"v{at}" for at, is_late in enumerate(late)])
    early = {at: get for at, get in enumerate(getters) if not late[at]}
    # A NUL would be taken for a gap. None comes from a request's head, where it is refused, nor from a file's.
    careful = Escaping(
        lambda text: escaping.escape(text).replace("\0", "\\x00"),
        escaping.missing,
        f"({escaping.unharmed}) and '\\0' not in joined",
    )
    made: Freezer = _function("request", early, careful, f"f'{shape}'", {**texts, "gap": "\0"})
    return made


def make_thawer(getters: Sequence[Getter], late: Sequence[bool], escaping: Escaping) -> Thawer:
    """Make the function that fills the gaps which `make_freezer` left."""
    lately = {at: get for at, get in enumerate(getters) if late[at]}
    values = "".join(f"v{at}, " for at in lately)
    shape = "(frozen.replace('%', '%%').replace('\\0', '%s') + '\\n')"
    result = f"({shape} % ({values})).encode('latin-1', 'replace')"
    made: Thawer = _function("request, frozen", lately, escaping, result, {})
    return made


def _shape(pieces: Sequence[str | None], values: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return what stands between the quotes of an f-string, and the texts that are named in it."""
    texts: dict[str, str] = {}
    left = iter(values)
    shape = ""
    for at, piece in enumerate(pieces):
        name = next(left) if piece is None else f"t{at}"
        shape += f"{{{name}}}"
        if piece is not None:
            texts[name] = piece
    return shape, texts


def _function(
    arguments: str, getters: dict[int, Getter], escaping: Escaping, result: str, names: dict[str, str]
) -> Callable[..., Any]:
    """Make a function that gets the values v0, v1, ..., escaped where they need it, and returns `result`."""
    # Any: the names that generated code sees, and the functions that it makes.
    known: dict[str, Any] = {"escape": escaping.escape, "missing": escaping.missing, **names}
    known.update((f"get{at}", get) for at, get in getters.items())
    # From source: a format is one function, and no variable costs a call of its own, which is 340 instructions
    # (`experiments/requests.md`).
    exec(_source("made", arguments, getters, escaping, result, {}), known)
    # Taken out: what is in its own globals would never be freed without a search for cycles.
    made: Callable[..., Any] = known.pop("made")
    return made


def _source(
    name: str, arguments: str, getters: dict[int, Getter], escaping: Escaping, result: str, told: dict[int, str]
) -> str:
    """Write the source of such a function. `told` are comments behind the lines of values."""
    source: list[str] = []
    doubtful: list[str] = []
    for at, get in getters.items():
        inline: Inline | None = getattr(get, "inline", None)
        expression = "get(request)" if inline is None else inline.expression
        comment = f"  # {told[at]}" if at in told else ""
        source.append(f"v{at} = {expression.replace('get(request)', f'get{at}(request)')}{comment}")
        if inline is None or not inline.plain:
            source.append(f"if v{at} is None: v{at} = missing")
            doubtful.append(f"v{at}")
    if any("head" in line or "fields" in line for line in source):
        source.insert(0, "head = request.head; fields = head.fields")
    if doubtful:
        source.append("joined = f'" + " ".join(f"{{{value}}}" for value in doubtful) + "'")
        source.append(f"if not ({escaping.unharmed}): " + "; ".join(f"{each} = escape({each})" for each in doubtful))
    source.append(f"return {result}")
    return "\n    ".join((f"def {name}({arguments}):", *source)) + "\n"
