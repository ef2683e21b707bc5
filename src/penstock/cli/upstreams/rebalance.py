"""`penstock rebalance`: tunnels of an upstream are evened out, and no client is disconnected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.cli.parsing import Parser
from penstock.cli.tunnels.tunnels import folder_for
from penstock.cli.upstreams.ask import MeantServer, add_place, moved, reported, upstreams_in
from penstock.observe.upstream_list import ToldUpstream

WINDOW = "60s"


def parser() -> Parser:
    made = Parser(
        "rebalance",
        "Even the tunnels of an upstream out among its servers, by their weights, as after one was added: those with\n"
        "websocket_redial go on with the servers that have too few, one after the other within --spread, and no\n"
        "client is disconnected. The others stay.",
        examples=(
            ("penstock rebalance app", "within a minute"),
            ("penstock rebalance app --spread 10m", "gently"),
            ("penstock rebalance app --dry-run", "what would be done"),
        ),
        exits=(
            "0  done, or there is nothing to do",
            "1  refused: the message says why, and nothing is changed",
            "2  the arguments make no sense, or there is no such upstream",
            "3  no proxy runs there, or it does not answer this user",
        ),
    )
    add_place(made)
    made.add_argument("upstream", metavar="UPSTREAM", help="the name of an upstream")
    words = f"one after the other, within this time ({WINDOW})"
    made.add_argument("--spread", metavar="TIME", default=WINDOW, help=words)
    made.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    return made


def run(arguments: Sequence[str]) -> int:
    given = parser().parse_args(list(arguments))

    def act() -> None:
        from penstock.config.values import seconds

        try:
            spread = seconds(given.spread)
        except ValueError:
            raise ValueError(f'"{given.spread}" is no time; write 90s, 10m') from None
        folder = folder_for(given)
        found = [each for each in upstreams_in(folder) if each["name"].lower() == given.upstream.lower()]
        if not found:
            raise ValueError(f"there is no upstream {given.upstream}")
        upstream = found[0]
        too_many = surplus(upstream)
        full = [peer["name"] for peer in usable(upstream) if peer["name"] in too_many] + [
            peer["name"] for peer in upstream["peers"] if peer not in usable(upstream)
        ]
        if not too_many:
            print(f"{upstream['name']} is even")
        for peer in upstream["peers"]:
            name = peer["name"]
            if name not in too_many:
                continue
            words = f"{upstream['name']}/{name} has {too_many[name]} of {peer['tunnels']} tunnels too many"
            if not given.dry_run:
                meant = MeantServer(upstream["name"], peer["id"], name)
                words += moved(folder, meant, spread, too_many[name] / peer["tunnels"], full)
            print(words)

    return reported("rebalance", act)


def usable(upstream: ToldUpstream) -> list[dict[str, Any]]:
    """Return the servers that may have new tunnels: backups only where there is nobody else."""
    up = [peer for peer in upstream["peers"] if peer["state"] == "up"]
    return [peer for peer in up if not peer["backup"]] or up


def surplus(upstream: ToldUpstream) -> dict[str, int]:
    """Return how many tunnels each server has beyond its share by weight, where it has any."""
    peers = usable(upstream)
    total, weight = sum(peer["tunnels"] for peer in peers), sum(peer["weight"] for peer in peers)
    if not weight:
        return {}
    found = {peer["name"]: peer["tunnels"] - -(-total * peer["weight"] // weight) for peer in peers}
    return {name: count for name, count in found.items() if count > 0}
