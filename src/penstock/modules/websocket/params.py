"""What the words of several `websocket_` directives have in common: `name=value`, sides, close codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from penstock.config.scope import Call
from penstock.config.tree import Word
from penstock.config.values import decimal, seconds
from penstock.websocket.frames import may_be_sent

SIDES = ("client", "backend", "both")


def options(call: Call, words: tuple[Word, ...], known: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """Read the `name=value` words, converted by functions that raise `ValueError`."""
    found: dict[str, Any] = {}
    for word in words:
        name, given, value = word.text.partition("=")
        if not given or name not in known or name in found:
            hint = "it takes: " + ", ".join(f"{each}=..." for each in known) if known else None
            raise call.fail(f'invalid parameter "{word.text}"', word, hint=hint)
        try:
            found[name] = known[name](value)
        except ValueError as error:
            raise call.fail(f'invalid parameter "{word.text}"', word, hint=str(error)) from None
    return found


def whole(text: str) -> int:
    """Read a number from 0 up. Raises `ValueError`."""
    found = decimal(text)
    if found is None:
        raise ValueError("a number is wanted")
    return found


def some_time(text: str) -> float:
    """Read a time that is not 0, in seconds. Raises `ValueError`."""
    found = seconds(text)
    if not found:
        raise ValueError("a time is wanted, such as 20s")
    return found


def side(text: str) -> str:
    """Read `client`, `backend` or `both`. Raises `ValueError`."""
    if text not in SIDES:
        raise ValueError("client, backend or both")
    return text


def code(text: str) -> int:
    """Read a close code that may stand in a frame. Raises `ValueError`."""
    found = decimal(text)
    if found is None or not may_be_sent(found):
        raise ValueError("a close code is 1000 to 1014 (not 1004, 1005, 1006) or 3000 to 4999")
    return found


def share(text: str) -> float:
    """Read `10%` as 0.1. Raises `ValueError`."""
    found = decimal(text[:-1]) if text.endswith("%") else None
    if found is None or found > 100:
        raise ValueError("a share is 0% to 100%")
    return found / 100
