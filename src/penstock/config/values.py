"""What one argument means: text -> a number of bytes, of seconds, a flag, a choice.

Every function raises `ValueError` whose text says what the argument should have been, made to stand after
carets: `takes a size such as 8k or 10m`. nginx's spelling is followed to the letter, so that `1M` is a month
only where nginx reads one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from penstock.config.addresses import Address, Network, listen_address, network, peer_address

__all__ = [
    "Address",
    "Network",
    "buffers",
    "decimal",
    "flag",
    "listen_address",
    "network",
    "number",
    "offset",
    "one_of",
    "peer_address",
    "rate",
    "seconds",
    "size",
    "some_of",
    "whole_seconds",
]

Value = TypeVar("Value")

_LARGEST = 2**63 - 1
# A number, and one part of a time ("1h 30m"), as ngx_atoi and ngx_parse_time read them.
_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII)

_SCALES = {"k": 1024, "m": 1024**2, "g": 1024**3}

# Units of time with their rank: each may follow only units of lower rank. A space counts as seconds.
_UNITS = {
    "y": (1, 365 * 86_400_000),
    "M": (2, 30 * 86_400_000),
    "w": (3, 7 * 86_400_000),
    "d": (4, 86_400_000),
    "h": (5, 3_600_000),
    "m": (6, 60_000),
    "s": (7, 1000),
    "ms": (8, 1),
    " ": (9, 1000),
}
_SPACE_FOLLOWS = 7
_PART = re.compile(r"([0-9]{0,19})(ms|[yMwdhms ]) *", re.ASCII)


def number(text: str) -> int:
    """Read a whole number, not negative."""
    return _digits(text, "takes a number")


def decimal(text: str) -> int | None:
    """Read a whole number, not negative; None for whatever else the text is."""
    return int(text) if _DIGITS.fullmatch(text) and int(text) <= _LARGEST else None


def flag(text: str) -> bool:
    """Read `on` or `off`, in any case of letters."""
    match text.lower():
        case "on":
            return True
        case "off":
            return False
    raise ValueError('must be "on" or "off"')


def size(text: str) -> int:
    """Read a number of bytes, with `k` and `m` for 1024 and 1024 times 1024 (nginx: ngx_parse_size)."""
    return _scaled(text, "km", "takes a size such as 4096, 8k or 10m")


def offset(text: str) -> int:
    """Read a number of bytes where files are meant: as `size`, and `g` too (nginx: ngx_parse_offset)."""
    return _scaled(text, "kmg", "takes a size such as 8k, 10m or 1g")


def seconds(text: str) -> float:
    """Read seconds, down to milliseconds, out of `30`, `1h30m`, `500ms` (nginx: ngx_parse_time in milliseconds).

    Weeks are the largest unit here, as in nginx: `1M` and `1y` are refused.
    """
    return _milliseconds(text, 2, 8, "takes a time such as 30s, 500ms or 1h30m") / 1000


def whole_seconds(text: str) -> int:
    """Read a time in whole seconds: `30`, `1h30m`, `1y` (nginx: ngx_parse_time in seconds); no `ms`."""
    return _milliseconds(text, 0, 7, "takes a time such as 30s, 1h30m or 30d") // 1000


def rate(text: str) -> float:
    """Read requests per second out of `10r/s` or `30r/m`, cut to thousandths as nginx does."""
    explain = "takes a rate such as 10r/s or 30r/m"
    scale = 60 if text.endswith("r/m") else 1
    requests = _digits(text[:-3] if text.endswith(("r/s", "r/m")) else text, explain)
    if requests == 0:
        raise ValueError(explain)
    return (requests * 1000 // scale) / 1000


def buffers(count: str, each: str) -> tuple[int, int]:
    """Read number and size of buffers, neither of them zero."""
    pair = number(count), size(each)
    if 0 in pair:
        raise ValueError("takes a number and a size above zero, such as 8 4k")
    return pair


def one_of(text: str, choices: Mapping[str, Value]) -> Value:
    """Return the value a word stands for, in any case of letters."""
    for choice, value in choices.items():
        if choice.lower() == text.lower():
            return value
    raise ValueError(f"takes one of {', '.join(choices)}")


def some_of(texts: Iterable[str], choices: Mapping[str, Value]) -> tuple[Value, ...]:
    """Return the values of several words in their order, each once."""
    return tuple(dict.fromkeys(one_of(text, choices) for text in texts))


def _digits(text: str, explain: str) -> int:
    if not _DIGITS.fullmatch(text) or int(text) > _LARGEST:
        raise ValueError(explain)
    return int(text)


def _scaled(text: str, units: str, explain: str) -> int:
    unit = text[-1:].lower()
    scale = 1
    if unit and unit in units:
        text, scale = text[:-1], _SCALES[unit]
    result = _digits(text, explain) * scale
    if result > _LARGEST:
        raise ValueError(explain)
    return result


def _milliseconds(text: str, rank: int, finest: int, explain: str) -> int:
    total = at = 0
    while part := _PART.match(text, at):
        digits, unit = part.groups()
        unit_rank, scale = _UNITS[unit]
        if rank >= (_SPACE_FOLLOWS if unit == " " else unit_rank) or (unit == "ms" and finest < unit_rank):
            raise ValueError(explain)
        rank = unit_rank
        total += int(digits or 0) * scale
        at = part.end()
    rest = text[at:]
    if rest:
        total += _digits(rest, explain) * 1000
    largest = _LARGEST if finest == 8 else _LARGEST * 1000
    if total > largest or not any("0" <= char <= "9" for char in text):
        raise ValueError(explain)
    return total
