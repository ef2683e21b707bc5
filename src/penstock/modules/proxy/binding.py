"""The address to connect to a backend from: `proxy_bind` and its kin (nginx: ngx_http_upstream_bind_set_slot)."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.config import values
from penstock.config.kinds import Kind
from penstock.config.scope import Call
from penstock.config.variables import Template
from penstock.http.request import Request
from penstock.observe.errorlog import ERROR, report
from penstock.upstream.exchange.outgoing import Local


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
