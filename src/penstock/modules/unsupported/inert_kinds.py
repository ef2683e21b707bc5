"""Kinds of arguments that only directives without effect have: read for their mistakes, and then forgotten."""

from __future__ import annotations

from typing import Any

from penstock.config import values
from penstock.config.addresses import peer_address
from penstock.config.errors import ConfigError
from penstock.config.key import Key
from penstock.config.kinds import Kind, converted, custom
from penstock.config.scope import Call
from penstock.config.tree import Word

_THREAD_POOLS: Key[set[str]] = Key("thread pools")



def _invalid(call: Call, argument: Word, hint: str | None = None) -> ConfigError:
    return call.fail(f'invalid parameter "{argument.text}" in "{call.name}" directive', argument, hint=hint)


def _measure(call: Call, argument: Word, convert: Any) -> Any:
    """What stands behind the `=` of a parameter."""
    try:
        return convert(argument.text.partition("=")[2])
    except ValueError as error:
        raise call.fail(
            f'invalid value "{argument.text}" in "{call.name}" directive', argument, hint=str(error)
        ) from None


def one_of(*names: str) -> Kind:
    """Accept some of these words, written in any case of letters."""

    def parse(call: Call) -> None:
        for argument in call.args:
            converted(call, argument, lambda given: values.one_of(given, dict.fromkeys(names)))

    return Kind(parse, 1, None, " | ".join(names) + " ...")


def _templates(call: Call) -> None:
    for argument in call.args:
        call.template(argument)


TEMPLATES = custom(_templates, most=None, syntax="value ...")


def _power(call: Call) -> None:
    count = converted(call, call.args[0], values.number)
    if count & (count - 1):
        raise call.fail(f'"{call.name}" directive must be a power of two', call.args[0])


POWER_OF_TWO = custom(_power, syntax="number")


def _source(call: Call) -> None:
    address = call.args[0]
    if len(call.args) == 2 and call.args[1].text != "transparent":
        raise _invalid(call, call.args[1])
    if "$" in address.text:
        call.template(address)
    elif address.text != "off":
        try:
            peer_address(address.text)
        except ValueError as error:
            raise call.fail(f'invalid address "{address.text}"', address, hint=str(error)) from None


SOURCE_ADDRESS = custom(_source, most=2, syntax="address [transparent] | off")


def _open_files(call: Call) -> None:
    hint = "write for example: open_file_cache max=1000 inactive=20s;"
    limited = False
    for argument in call.args:
        name = argument.text.partition("=")[0]
        if argument.text == "off":
            limited = True
        elif argument.text.startswith("max="):
            limited = True
            if _measure(call, argument, values.number) == 0:
                raise call.fail(f'invalid "{call.name}" parameter "{argument.text}"', argument, hint=hint)
        elif name == "inactive" and "=" in argument.text:
            _measure(call, argument, values.whole_seconds)
        else:
            raise call.fail(f'invalid "{call.name}" parameter "{argument.text}"', argument, hint=hint)
    if not limited:
        raise call.fail(f'"{call.name}" must have the "max" parameter', hint=hint)


OPEN_FILES = custom(_open_files, most=2, syntax="off | max=N [inactive=time]")


def _threads(call: Call) -> None:
    pool, counted = call.args[0], False
    for argument in call.args[1:]:
        name = argument.text.partition("=")[0]
        if name not in ("threads", "max_queue") or "=" not in argument.text:
            raise _invalid(call, argument)
        count = _measure(call, argument, values.number)
        if name == "threads":
            counted = True
            if count == 0:
                raise call.fail(f'invalid threads value "{argument.text}"', argument)
    if not counted:
        raise call.fail(
            f'"{call.name}" must have "threads" parameter', hint=f"write: {call.name} {pool.text} threads=32;"
        )
    pools = call.compilation.shared.setdefault(_THREAD_POOLS, set())
    if pool.text in pools:
        raise call.fail(f'duplicate thread pool "{pool.text}"', pool)
    pools.add(pool.text)


THREADS = custom(_threads, least=2, most=3, syntax="name threads=number [max_queue=number]")


def _affinity(call: Call) -> None:
    masks = call.args
    if masks[0].text == "auto":
        masks = masks[1:]
        if len(masks) > 1:
            raise call.fail(f'invalid number of arguments in "{call.name}" directive')
    for mask in masks:
        for digit in mask.text:
            if digit not in "01 ":
                raise call.fail(f'invalid character "{digit}" in "{call.name}"', mask, hint="a mask is written 0101")


AFFINITY = custom(_affinity, most=None, syntax="cpumask ... | auto [cpumask]")


def _aio(call: Call) -> None:
    given = call.args[0].text
    if given.startswith("threads="):
        call.template(call.args[0])
    elif given not in ("on", "off", "threads"):
        raise call.fail(
            f'invalid value "{given}" in "{call.name}" directive', call.args[0], hint="it may be: on, off, threads"
        )


AIO = custom(_aio, syntax="on | off | threads[=pool]")
