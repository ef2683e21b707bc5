"""Parameters that stand for a request: `fastcgi_param` and its kin, and the client's headers as `HTTP_...`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from penstock.config.scope import Call
from penstock.config.variables import Template
from penstock.http.line import nul_safe
from penstock.http.request import Request
from penstock.modules.core.line_values import one_line_of

PREFIX = "HTTP_"
SWITCHING = frozenset(("HTTP_UPGRADE", "HTTP_CONNECTION"))
NEVER = frozenset(("HTTP_PROXY",))
"""Programs take it for a proxy to ask others through, whoever said it ("httpoxy"). A `*_param` may still say it."""
SHORTEN = str.maketrans("abcdefghijklmnopqrstuvwxyz-", "ABCDEFGHIJKLMNOPQRSTUVWXYZ_")


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter. `if_not_empty`: it is left out where its value is empty."""

    name: str
    value: Template
    if_not_empty: bool


def param(call: Call) -> Param:
    """Read the words of a `*_param` directive."""
    if len(call.args) == 3 and call.args[2].text != "if_not_empty":
        raise call.fail(f'invalid parameter "{call.args[2].text}"', call.args[2], hint="it may be: if_not_empty")
    name, value = call.args[:2]
    made = call.template(value)
    if call.name == "scgi_param":  # a NUL ends a value of SCGI; uwsgi says how long each is
        made = one_line_of(call, value.text, value.span, f"{call.name} {name.text}", nul_safe)
    return Param(name.text, made, len(call.args) == 3)


class Params:
    """The parameters of one location. A parameter that is called `HTTP_X` takes the place of the client's header."""

    __slots__ = ("_given", "_pass_headers", "_taken")

    def __init__(self, given: tuple[Param, ...], *, pass_headers: bool) -> None:
        self._given = given
        self._pass_headers = pass_headers
        self._taken = NEVER.union(each.name for each in given if each.name.startswith(PREFIX))

    def of(self, request: Request, *, plain: bool = False) -> Iterator[tuple[str, str]]:
        """Make names and values for a request, in nginx's order. `plain`: without what would switch protocols."""
        for each in self._given:
            if plain and each.name in SWITCHING:
                continue
            value = each.value.evaluate(request)
            if value or not each.if_not_empty:
                yield each.name, value
        if not self._pass_headers:
            return
        head = request.head
        seen: set[str] = set()
        for name, value in head.headers:
            key = PREFIX + name.translate(SHORTEN)
            if key in self._taken or (plain and key in SWITCHING):
                continue
            if head.repeated:
                if key in seen:
                    continue
                seen.add(key)
                value = head.joined(name.lower()) or value
            yield key, value
