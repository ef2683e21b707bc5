"""How large and how frequent WebSocket messages may be: `websocket_max_message`, `..._max_frame`, `websocket_rate`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.config.kinds import Kind, custom
from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directives
from penstock.config.values import decimal, size
from penstock.modules.websocket.params import options, side, whole
from penstock.websocket.terms import NO_LIMITS, DirectionLimits

MODULE = "websocket_limits"

Given = tuple[str, Any]  # the name of a limit and its value, whose type the name decides
"""Whose messages it is about, and the value."""


def _of(convert: Callable[[str], Any], syntax: str) -> Kind:
    def parse(call: Call) -> Given:
        first, *more = call.args
        try:
            value = 0 if first.text == "off" else convert(first.text)
        except ValueError as error:
            words = f'invalid value "{first.text}" in "{call.name}" directive'
            raise call.fail(words, first, hint=str(error)) from None
        given = options(call, tuple(more), {"from": side})
        return given.get("from", "client"), value

    return custom(parse, most=2, syntax=f"{syntax} [from=client | backend | both] | off")


def _per_second(text: str) -> tuple[float, int]:
    """Read `50r/s` or `600r/m`: the rate a second, and the number as it is written."""
    number, slash, unit = text.partition("r/")
    count = decimal(number)
    if not slash or not count or unit not in ("s", "m"):
        raise ValueError("a rate is 50r/s or 600r/m")
    return count / (1 if unit == "s" else 60), count


def _rate(call: Call) -> Given:
    """Read a rate. Messages come in groups even where few come in a minute: without `burst`, as many as the rate names
    may come at once, which is the first of them and so many more."""
    first, *more = call.args
    try:
        rate, count = (0.0, 1) if first.text == "off" else _per_second(first.text)
    except ValueError as error:
        raise call.fail(f'invalid value "{first.text}" in "{call.name}" directive', first, hint=str(error)) from None
    given = options(call, tuple(more), {"burst": whole, "from": side})
    return given.get("from", "client"), (rate, given.get("burst", count - 1))


class MessageLimits(Settings):
    """Each holds for what clients send, unless `from` says otherwise; a limit may be given for each side."""

    messages: tuple[Given, ...] = directives(
        "websocket_max_message",
        where=HTTP_LEVELS,
        takes=_of(size, "size"),
        shown="off",
        doc="The payload of a whole message, as it is on the wire. Who sends more gets 1009, the other side 1001, and "
        "nothing of the frame that is too much is passed on.",
    )
    frames: tuple[Given, ...] = directives(
        "websocket_max_frame",
        where=HTTP_LEVELS,
        takes=_of(size, "size"),
        shown="off",
        doc="The same for the payload of one frame.",
    )
    rates: tuple[Given, ...] = directives(
        "websocket_rate",
        where=HTTP_LEVELS,
        takes=custom(_rate, most=3, syntax="rate [burst=number] [from=client | backend | both] | off"),
        shown="off",
        doc="Messages (and pings and pongs) a second, `50r/s`, or a minute, `600r/m`; `burst` more may come at once. "
        "Without `burst`, as many may come at once as the rate names (50, or 600); with `burst=0` each has to keep its "
        "distance from the one before. Who is faster gets 1008, the other side 1001.",
    )
    client: DirectionLimits = NO_LIMITS
    backend: DirectionLimits = NO_LIMITS

    def finish(self, scope: Scope) -> None:
        self.client = self._limits("client")
        self.backend = self._limits("backend")

    def _limits(self, who: str) -> DirectionLimits:
        def last(given: tuple[Given, ...], default: Any) -> Any:
            return next((value for whose, value in reversed(given) if whose in (who, "both")), default)

        rate, burst = last(self.rates, (0.0, 0))
        return DirectionLimits(last(self.messages, 0), last(self.frames, 0), rate, burst)
