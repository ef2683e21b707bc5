"""A log format as functions: what its variables say is asked, checked and put together without a call for each.

The source of these functions consists of expressions that are written in this program (`Inline`); of a configuration
there are only names of headers in it, quoted. Its text is handed over as constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from penstock.config.variables import Getter, Inline, SomeRequest
from penstock.shared.memo import Memo

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
    left = iter(late)
    known: list[str | None] = []
    for piece in pieces:
        text = "\0" if piece is None and next(left) else piece
        if text is not None and known and known[-1] is not None:
            known[-1] += text
        else:
            known.append(text)
    early = {at: get for at, get in enumerate(getters) if not late[at]}
    shape, texts = _shape(known, [f"v{at}" for at in early])
    # A NUL would be taken for a gap. None comes from a request's head, where it is refused, nor from a file's; and what
    # is printable has none.
    unharmed = escaping.unharmed
    careful = Escaping(
        lambda text: escaping.escape(text).replace("\0", "\\x00"),
        escaping.missing,
        unharmed if unharmed == NOTHING_TO_ESCAPE else f"({unharmed}) and '\\0' not in joined",
    )
    made: Freezer = _function("request", early, careful, f"f'{shape}'", texts)
    return made


def make_thawer(getters: Sequence[Getter], late: Sequence[bool], escaping: Escaping) -> Thawer:
    """Make the function that fills the gaps which `make_freezer` left."""
    lately = {at: get for at, get in enumerate(getters) if late[at]}
    # Cut and joined, not `%`: 1,400 of 4,600 instructions.
    shape = "".join(f"{{v{at}}}{{p{at}}}" for at in lately)
    parts = "".join(f", p{at}" for at in lately)
    source = f"p{parts} = frozen.split('\\0')\n    " if lately else "p = frozen\n    "
    result = f"f'{{p}}{shape}\\n'.encode('latin-1', 'replace')"
    made: Thawer = _function("request, frozen", lately, escaping, result, {}, source)
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
    arguments: str,
    getters: dict[int, Getter],
    escaping: Escaping,
    result: str,
    names: dict[str, str],
    first: str = "",
) -> Callable[..., Any]:
    """Make a function that gets the values v0, v1, ..., escaped where they need it, and returns `result`. `first` are
    statements to begin with."""
    unharmed: Memo[str, bool] = Memo()
    # Any: the names that generated code sees, and the functions that it makes.
    known: dict[str, Any] = {"escape": escaping.escape, "missing": escaping.missing, **names}
    known.update(unharmed=unharmed, look_at=_remembering(escaping.escape, unharmed))
    known.update((f"get{at}", get) for at, get in getters.items())
    # From source: a format is one function, and no variable costs a call of its own, which is 340 instructions
    # (`experiments/requests.md`).
    exec(_source("made", arguments, getters, escaping, result, {}, first), known)
    # Taken out: what is in its own globals would never be freed without a search for cycles.
    made: Callable[..., Any] = known.pop("made")
    return made


def _remembering(escape: Callable[[str], str], unharmed: Memo[str, bool]) -> Callable[[str], str]:
    """Make an `escape` that remembers what needs none."""

    def look_at(value: str) -> str:
        text = escape(value)
        if text == value and unharmed.again(value):
            unharmed[value] = True
        return text

    return look_at


def _source(
    name: str,
    arguments: str,
    getters: dict[int, Getter],
    escaping: Escaping,
    result: str,
    told: dict[int, str],
    first: str = "",
) -> str:
    """Write the source of such a function. `told` are comments behind the lines of values."""
    source: list[str] = []
    doubtful: list[str] = []
    remembers = escaping.unharmed != "True"
    for at, get in getters.items():
        inline: Inline | None = getattr(get, "inline", None)
        expression = "get(request)" if inline is None else inline.expression
        comment = f"  # {told[at]}" if at in told else ""
        source.append(f"v{at} = {expression.replace('get(request)', f'get{at}(request)')}{comment}")
        if inline is not None and inline.plain:
            continue
        source.append(f"if v{at} is None: v{at} = missing")
        if inline is not None and inline.recurs and remembers:
            source.append(f"elif v{at} not in unharmed: v{at} = look_at(v{at})")
        else:
            doubtful.append(f"v{at}")
    if any("head" in line or "fields" in line for line in source):
        source.insert(0, "head = request.head; fields = head.fields")
    if doubtful:
        joined = doubtful[0] if len(doubtful) == 1 else "f'" + " ".join(f"{{{value}}}" for value in doubtful) + "'"
        source.append(f"joined = {joined}")
        source.append(f"if not ({escaping.unharmed}): " + "; ".join(f"{each} = escape({each})" for each in doubtful))
    source.append(f"return {result}")
    return f"def {name}({arguments}):\n    {first}" + "\n    ".join(source) + "\n"
