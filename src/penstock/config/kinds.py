"""Kinds of arguments: how the words of a directive become a value. Every kind knows its arity and its syntax."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from penstock.config import values
from penstock.config.scope import Call
from penstock.config.tree import Word
from penstock.config.variables import Template

T = TypeVar("T")

POOL_AT_LEAST, POOL_STEP = 112, 16
"""What nginx makes its pools of memory of; whoever writes other sizes has them refused there."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of arguments: `parse` turns a call into a value, raising `ConfigError`; `least`/`most` bound its
    arguments."""

    parse: Callable[[Call], Any]  # the type is that of the attribute the directive sets
    least: int = 1
    most: int | None = 1
    syntax: str = ""

    def taking(self, least: int, most: int | None) -> Kind:
        """Return the same kind for another number of arguments; `most` is None for any."""
        return replace(self, least=least, most=most)


def word(convert: Callable[[str], object], syntax: str = "value") -> Kind:
    """Take one argument, through a function that raises `ValueError`."""

    def parse(call: Call) -> object:
        return converted(call, call.args[0], convert)

    return Kind(parse, syntax=syntax)


def converted(call: Call, argument: Word, convert: Callable[[str], T]) -> T:
    """Return `convert(argument)`; a `ValueError` becomes nginx's message with the reason as the hint."""
    try:
        return convert(argument.text)
    except ValueError as error:
        message = f'invalid value "{argument.text}" in "{call.name}" directive'
        raise call.fail(message, argument, hint=str(error)) from None


def _flag(call: Call) -> bool:
    text = call.args[0].text.lower()
    if text in ("on", "off"):
        return text == "on"
    raise call.fail(
        f'invalid value "{call.args[0].text}" in "{call.name}" directive, it must be "on" or "off"', call.args[0]
    )


def choice(*names: str) -> Kind:
    """Take one of several words."""

    def parse(call: Call) -> str:
        text = call.args[0].text
        if text not in names:
            raise call.fail(
                f'invalid value "{text}" in "{call.name}" directive',
                call.args[0],
                hint="it may be: " + ", ".join(names),
            )
        return text

    return Kind(parse, syntax=" | ".join(names))


def choices(*names: str) -> Kind:
    """Take one or more of several words, as a frozen set."""

    def parse(call: Call) -> frozenset[str]:
        for argument in call.args:
            if argument.text not in names:
                raise call.fail(
                    f'invalid value "{argument.text}" in "{call.name}" directive',
                    argument,
                    hint="it may be: " + ", ".join(names),
                )
        return frozenset(argument.text for argument in call.args)

    return Kind(parse, 1, None, " | ".join(names) + " ...")


def either(constant: str, value: object, kind: Kind) -> Kind:
    """Take a fixed word with its own value (such as `off`), or else another kind."""

    def parse(call: Call) -> object:
        if len(call.args) == 1 and call.args[0].text == constant:
            return value
        return kind.parse(call)

    return Kind(parse, min(1, kind.least), kind.most, f"{constant} | {kind.syntax}")


flag = Kind(_flag, syntax="on | off")
present = Kind(lambda call: True, 0, 0)
"""Takes nothing: that it stands there is all it says."""
text = Kind(lambda call: call.args[0].text, syntax="text")
texts = Kind(lambda call: tuple(argument.text for argument in call.args), 1, None, "text ...")
template = Kind(lambda call: call.template(call.args[0]), syntax="value")
size = word(values.size, "size")
offset = word(values.offset, "size")
number = word(values.number, "number")
seconds = word(values.seconds, "time")
whole_seconds = word(values.whole_seconds, "time")
network = word(values.network, "address | CIDR | unix: | all")
logs_path = Kind(lambda call: call.compilation.logs_path(call.args[0].text), syntax="path")
conf_path = Kind(lambda call: call.compilation.conf_path(call.args[0].text), syntax="path")


def custom(parse: Callable[[Call], object], *, least: int = 1, most: int | None = 1, syntax: str = "") -> Kind:
    """Take arguments with a grammar of their own."""
    return Kind(parse, least, most, syntax)


def _rate(call: Call) -> Template:
    """Read a size, or text with variables that say one; what they say is read where it is used."""
    made = call.template(call.args[0])
    if made.literal is not None:
        converted(call, call.args[0], values.size)
    return made


def _pool_size(call: Call) -> int:
    size = converted(call, call.args[0], values.size)
    if size < POOL_AT_LEAST:
        raise call.fail(f"the pool size must be no less than {POOL_AT_LEAST}", call.args[0])
    if size % POOL_STEP:
        raise call.fail(f"the pool size must be a multiple of {POOL_STEP}", call.args[0])
    return size


def _buffers(call: Call) -> tuple[int, int]:
    try:
        return values.buffers(call.args[0].text, call.args[1].text)
    except ValueError as error:
        raise call.fail(f'invalid value in "{call.name}" directive', hint=str(error)) from None


buffers = Kind(_buffers, 2, 2, "number size")
pool_size = Kind(_pool_size, syntax="size")
rate = Kind(_rate, syntax="rate")
