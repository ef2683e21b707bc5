"""Which tunnels a command means, as its arguments say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.cli.tunnels.table import safe

if TYPE_CHECKING:
    from argparse import Namespace

    from penstock.cli.parsing import Parser


def add_filters(made: Parser) -> None:
    """Add the arguments by which tunnels are chosen; a tunnel must match all that are given."""
    which = made.add_argument_group("which tunnels")
    which.add_argument("--id", help="the tunnel with this ID (first column of the list)")
    which.add_argument(
        "--kind",
        choices=("websocket", "tunnel", "event_stream"),
        help="websocket: its frames are read; tunnel: relayed as it is; event_stream",
    )
    which.add_argument("--upstream", metavar="NAME", help="to a server of this upstream")
    which.add_argument("--peer", help="to this backend: its address, with or without the port")
    which.add_argument("--client", help="of this address, or this network: 10.1.0.0/16")
    which.add_argument("--server", metavar="NAME", help="of the server of this name")
    which.add_argument("--location", metavar="NAME", help="of this location, as it is written")
    which.add_argument(
        "--transport", choices=("h1", "h1-tls", "h2", "h2-tls"), help="the transport of the client: column VIA"
    )
    which.add_argument(
        "--state",
        choices=("open", "held", "closing"),
        help="held: it waits for another backend; closing: a close frame has come or gone",
    )
    which.add_argument("--idle", metavar="TIME", help="silent for so long at least: 10m")
    which.add_argument("--older", metavar="TIME", help="open for so long at least: 1d")


def selection_of(given: Namespace) -> dict[str, object]:
    """Return what was given as a `TunnelSelection` reads it. Raises `ValueError`."""
    from penstock.observe.selection import TunnelSelection

    found: dict[str, object] = {}
    for name in ("id", "kind", "client", "server", "location", "upstream", "peer", "transport", "state"):
        if getattr(given, name):
            found[name] = getattr(given, name)
    for name in ("idle", "older"):
        if getattr(given, name):
            found[name] = time_of(getattr(given, name))
    TunnelSelection.read(found)
    return found


def time_of(text: str) -> float:
    """Read a time, in seconds. Raises `ValueError`."""
    from penstock.config.values import seconds

    try:
        return seconds(text)
    except ValueError:
        raise ValueError(f'"{safe(text)}" is no time; write 90s, 10m, 1d') from None
