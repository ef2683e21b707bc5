"""Parameters that stand for a request: `uwsgi_param`, `scgi_param`, and the client's headers as `HTTP_...`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from penstock.config.scope import Call
from penstock.config.variables import Template
from penstock.http.request import Request

PREFIX = "HTTP_"
SHORTEN = str.maketrans("abcdefghijklmnopqrstuvwxyz-", "ABCDEFGHIJKLMNOPQRSTUVWXYZ_")


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter. `if_not_empty`: it is left out where its value is empty."""

    name: str
    value: Template
    if_not_empty: bool


def param(call: Call) -> Param:
    """The words of a `*_param` directive."""
    if len(call.args) == 3 and call.args[2].text != "if_not_empty":
        raise call.fail(f'invalid parameter "{call.args[2].text}"', call.args[2], hint="it may be: if_not_empty")
    return Param(call.args[0].text, call.template(call.args[1]), len(call.args) == 3)


class Params:
    """The parameters of one location. A parameter that is called `HTTP_X` takes the place of the client's header."""

    __slots__ = ("_given", "_pass_headers", "_taken")

    def __init__(self, given: tuple[Param, ...], *, pass_headers: bool) -> None:
        self._given = given
        self._pass_headers = pass_headers
        self._taken = frozenset(each.name for each in given if each.name.startswith(PREFIX))

    def of(self, request: Request) -> Iterator[tuple[str, str]]:
        """Names and values, in nginx's order."""
        for each in self._given:
            value = each.value.evaluate(request)
            if value or not each.if_not_empty:
                yield each.name, value
        if not self._pass_headers:
            return
        head = request.head
        seen: set[str] = set()
        for name, value in head.headers:
            key = PREFIX + name.translate(SHORTEN)
            if key in self._taken:
                continue
            if head.repeated:
                if key in seen:
                    continue
                seen.add(key)
                value = head.joined(name.lower()) or value
            yield key, value
