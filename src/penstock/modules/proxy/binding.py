"""What is settled of each server that is connected to: from which address (`proxy_bind` and its kin), and whether it
may be at all (`proxy_allow_upstream`). nginx: ngx_http_upstream, as the modules share it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.config import values
from penstock.config.kinds import Kind, custom, flag
from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directive
from penstock.config.variables import Template
from penstock.http.request import Answer, Request
from penstock.observe.errorlog import ERROR, report
from penstock.upstream.errors import FaultSide, ProxyError, failed
from penstock.upstream.exchange.outgoing import Local
from penstock.upstream.exchange.sending import InMemory

if TYPE_CHECKING:
    from penstock.modules.proxy.pass_request import Passing
    from penstock.modules.proxy.targets import Destination
    from penstock.upstream.exchange.exchange import Exchange
    from penstock.upstream.exchange.outgoing import Prepared


@dataclass(frozen=True, slots=True)
class Bind:
    """`address` gives the local address to connect from; None for the system's choice."""

    address: Template | None
    transparent: bool = False


def _bind(call: Call) -> Bind:
    word = call.args[0]
    if word.text == "off" and len(call.args) == 1:
        return Bind(None)
    if len(call.args) == 2 and call.args[1].text != "transparent":
        raise call.fail(f'invalid parameter "{call.args[1].text}"', call.args[1])
    made = call.template(word)
    if made.literal is not None and local_address(made.literal) is None:
        raise call.fail(f'invalid address "{word.text}"', word)
    return Bind(made, len(call.args) == 2)


def local_address(text: str) -> tuple[str, int] | None:
    """Read an address to connect from, with a port or without; None for what is no address."""
    bare = f"[{text}]" if text.count(":") > 1 and not text.startswith("[") else text
    try:
        found = values.peer_address(bare, 1)
    except ValueError:
        return None
    if found.family not in ("inet", "inet6"):
        return None
    written = bare.endswith(f":{found.port}") and not bare.endswith("]")
    return found.host, found.port if written else 0


def local_for(bind: Bind, request: Request) -> Local | None:
    """Return the local address for a request; None for the system's choice."""
    if bind.address is None:
        return None
    text = bind.address.evaluate(request)
    if not text:
        return None
    found = local_address(text)
    if found is None:
        report(request, ERROR, f'invalid local address "{text}"')
        return None
    return Local(found, bind.transparent)


BINDING = Kind(_bind, 1, 2, "address [transparent] | off")


def _conditions(call: Call) -> tuple[Template, ...]:
    return tuple(call.template(word) for word in call.args)


class Binding(Settings, abstract=True):
    """How every family of modules that passes requests or connections on connects to servers."""

    bind: Bind | None = directive("*_bind", where=HTTP_LEVELS, takes=BINDING)
    bind_dynamic: bool = directive(
        "*_bind_dynamic",
        where=HTTP_LEVELS,
        takes=flag,
        default=False,
        doc="The address to connect from is worked out for each server that is tried, which `$upstream_last_addr` and "
        "`$upstream_last_server_name` tell, instead of once for a request.",
    )
    allowed: tuple[Template, ...] = directive(
        "*_allow_upstream",
        where=HTTP_LEVELS,
        takes=custom(_conditions, most=None, syntax="string ..."),
        default=(),
        doc="A server is asked only where none of these texts is empty or `0`: that is looked at for each one that is "
        "tried, `$upstream_last_addr` is its address. What is denied is a failed attempt.",
    )
    bind_once: Bind | None = None
    """What is worked out before a server is chosen."""
    each: bool = False
    """Whether something is worked out for each server."""

    def finish(self, scope: Scope) -> None:
        """Find what has to be worked out when."""
        by_server = self.bind_dynamic and self.bind is not None
        self.bind_once = None if by_server else self.bind
        self.each = by_server or bool(self.allowed)

    def vet(self, exchange: Exchange) -> None:
        """Work out what holds for the server that an exchange has chosen. Raises `ProxyError` where it is denied."""
        request = exchange.request
        for each in self.allowed:
            if each.evaluate(request) in ("", "0"):
                raise failed(f'access to upstream denied by "{each.text}" while connecting to upstream', retry="denied")
        if self.bind is not None and self.bind_once is None:
            exchange.bind = local_for(self.bind, request)


class NotSent(ProxyError):
    """Raised for a request that may not go out to the server that was chosen as it would."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(FaultSide.CLIENT, answer.status, "", "")
        self.answer = answer


def anew(
    passing: Passing, there: Destination, prepare: Callable[..., Prepared], length: int | None, *, chunked: bool
) -> Callable[[Exchange], None]:
    """Return what is done for each server that a request is tried at (`Prepared.each`): `prepare` writes it again."""
    if not passing.request_dynamic:
        return passing.vet

    def each(exchange: Exchange) -> None:
        passing.vet(exchange)
        request, size = exchange.request, length
        own = passing.set_body(request) if passing.sets_body else None
        if own is not None:
            exchange.body, size = InMemory(own), len(own)
        plan = prepare(request, there, size, chunked=chunked)
        if passing.judges and (refused := passing.judged(request, plan)) is not None:
            raise NotSent(refused)
        plan.each = exchange.plan.each
        exchange.plan = plan

    return each
