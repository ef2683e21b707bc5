"""Asking the workers about upstreams, and which server is meant by a word of the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock.cli.parsing import USAGE_ERROR
from penstock.observe.upstream_list import ToldUpstream, merged

if TYPE_CHECKING:
    from penstock.cli.parsing import Parser

NOT_THERE = 3


class MeantServer(NamedTuple):
    """A server that is meant: the name of its upstream, its number and its address."""

    upstream: str
    number: int
    name: str


def add_place(made: Parser) -> None:
    """Let arguments say which proxy is meant."""
    from penstock.cli.reading import add_places

    add_places(made)
    made.add_argument("--socket", metavar="FOLDER", help="the control_socket, if the configuration is elsewhere")
    made.add_argument("--fleet", action="store_true", help="on all machines of the fleet, not on this one alone")


def reported(name: str, act: Callable[[], None]) -> int:
    """Do what a command is for, and return its exit code; what keeps it from that goes to standard error."""
    from penstock.process.asking import NobodyThere, Refusal

    why: Exception
    try:
        act()
    except NobodyThere as error:
        code, why = NOT_THERE, error
    except Refusal as error:
        code, why = 1, error
    except ValueError as error:
        code, why = USAGE_ERROR, error
    else:
        return 0
    sys.stderr.write(f"penstock {name}: {why}\n")
    return code


def upstreams_in(folder: str, *, fleet: bool = False) -> list[ToldUpstream]:
    """Ask all workers, of this machine or of the fleet, what upstreams there are. Raises `NobodyThere`."""
    from penstock.process.asking import ask_fleet, ask_workers

    question = {"do": "upstreams"}
    answers = ask_fleet(folder, question)["answers"] if fleet else ask_workers(folder, question)
    return merged([answer["upstreams"] for answer in answers if "upstreams" in answer])


def change(folder: str, order: Mapping[str, Any], *, fleet: bool = False) -> None:
    """Have one worker change an upstream, for all of its machine; with `fleet` one of each. Raises `NobodyThere`, and
    `Refusal`."""
    from penstock.process.asking import Refusal, ask_fleet, ask_one

    question = {"do": "steer", **order}
    if not fleet:
        ask_one(folder, question)
        return
    told = ask_fleet(folder, question)
    if told["silent"]:
        raise Refusal(f"{told['silent']} of {told['machines']} machines refused it or did not answer")


def servers_meant(upstreams: Sequence[ToldUpstream], word: str) -> list[MeantServer]:
    """Return the servers that a word means: `10.0.0.3:8000`, `10.0.0.3`, `app/10.0.0.3:8000`, `app/2`. An address
    without an upstream means it in all of them. Raises `ValueError` if there is none."""
    upstream, slash, which = word.partition("/")
    if not slash or word.startswith("unix:"):
        upstream, which = "", word
    found = []
    for each in upstreams:
        if upstream and upstream.lower() != each["name"].lower():
            continue
        for peer in each["peers"]:
            numbered = bool(upstream) and which == str(peer["id"])
            if numbered or which in (peer["name"], peer["server"], peer["name"].rpartition(":")[0]):
                found.append(MeantServer(each["name"], peer["id"], peer["name"]))
    if not found:
        known = ", ".join(f"{each['name']}/{peer['name']}" for each in upstreams for peer in each["peers"])
        raise ValueError(f"there is no server {word}; there are: {known}" if known else "there are no upstreams")
    return found


def moved(
    folder: str, meant: MeantServer, spread: float, share: float, avoid: Sequence[str], *, fleet: bool = False
) -> str:
    """Have all workers move a share of a server's tunnels to others, but not to these, within `spread` seconds.

    Return the words for it, behind a semicolon. Raises `NobodyThere`, and `ValueError` for what is refused.
    """
    from penstock.cli.tunnels.table import age_shown
    from penstock.process.asking import ask_fleet, ask_workers

    select = {"peer": meant.name, "upstream": meant.upstream}
    order = {"do": "move", "select": select, "spread": spread, "share": share, "avoid": list(avoid)}
    answers = ask_fleet(folder, order)["answers"] if fleet else ask_workers(folder, order)
    count, staying = (sum(answer[name] for answer in answers) for name in ("matched", "staying"))
    words = f"; {'1 tunnel moves' if count == 1 else f'{count} tunnels move'} to other servers"
    words += f" within {age_shown(spread)}" if spread else ""
    if staying:
        words += f", {staying} that may have no other {'stays' if staying == 1 else 'stay'}"
    return words
