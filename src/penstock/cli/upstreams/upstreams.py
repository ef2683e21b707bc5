"""`penstock upstreams`: the servers of all upstreams, and setting, adding and removing them."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from penstock.cli.parsing import Parser
from penstock.cli.tunnels.tunnels import folder_for
from penstock.cli.upstreams.ask import add_place, change, reported, servers_meant, upstreams_in
from penstock.cli.upstreams.table import shown

if TYPE_CHECKING:
    from argparse import Namespace

FLAGS = {"down": {"down": True}, "up": {"down": False, "drain": False}, "drain": {"drain": True}}
ACTIONS = ("list", "set", "add", "remove", "reset")


def parser() -> Parser:
    made = Parser(
        "upstreams",
        "Show the servers of every upstream: their state and since when, what they carry, what failed, what checks\n"
        "found. Or change them, in all workers and without a reload: what is set stays over reloads, and over a\n"
        "restart where the upstream has a state file.",
        examples=(
            ("penstock upstreams", "all of them"),
            ("penstock upstreams --watch", "again and again"),
            ("penstock upstreams set app/10.0.0.3:8000 weight=5 max_conns=200", "other parameters, as of `server`"),
            ("penstock upstreams set 10.0.0.3:8000 down", "out of use; `up` takes down and drain back"),
            ("penstock upstreams add app 10.0.0.9:8000 weight=2", "one more"),
            ("penstock upstreams remove app/10.0.0.9:8000", "and away: what it carries ends in its own time"),
            ("penstock upstreams reset app", "as the configuration has it"),
        ),
        exits=(
            "0  shown, or done in all workers",
            "1  refused: the message says why, and nothing is changed",
            "2  the arguments make no sense, or there is no such server",
            "3  no proxy runs there, or it does not answer this user",
        ),
    )
    add_place(made)
    made.add_argument("action", nargs="?", choices=ACTIONS, default="list", metavar="|".join(ACTIONS))
    made.add_argument("words", nargs="*", metavar="WORD", help="a server and parameters; an upstream for add and reset")
    shows = made.add_argument_group("list")
    shows.add_argument("--json", action="store_true", help="one array")
    shows.add_argument("--watch", action="store_true", help="show them again and again, until Ctrl-C")
    shows.add_argument("--every", metavar="TIME", default="1s", help="with --watch: how often to look (1s)")
    return made


def run(arguments: Sequence[str]) -> int:
    reader = parser()
    given = reader.parse_intermixed_args(list(arguments))

    def act() -> None:
        orders = _orders(given)
        folder = folder_for(given)
        if given.action == "list":
            _list(folder, given)
        else:
            _change(folder, given, orders)

    return reported("upstreams", act)


def _list(folder: str, given: Namespace) -> int:
    from penstock.config.values import seconds

    every = seconds(given.every)
    if given.json:
        print(json.dumps(upstreams_in(folder, fleet=given.fleet), indent=2))
        return 0
    while True:
        lines = shown(upstreams_in(folder, fleet=given.fleet), shutil.get_terminal_size().columns)
        if given.watch:
            sys.stdout.write("\x1b[H\x1b[2J" if sys.stdout.isatty() else "\n")
        print("\n".join(lines or ["no upstream"]), flush=True)
        if not given.watch:
            return 0
        time.sleep(max(0.1, every))


def _orders(given: Namespace) -> dict[str, Any]:
    """Read what is to be set. Raises `ValueError`."""
    needed = {"list": 0, "set": 2, "add": 2, "remove": 1, "reset": 1}[given.action]
    exact = given.action in ("list", "remove", "reset")
    if len(given.words) < needed or (exact and len(given.words) > needed):
        wanted = {"list": "nothing", "set": "a server and parameters", "add": "an upstream and an address"}
        raise ValueError(f"{given.action} takes {wanted.get(given.action, 'one word')}")
    return _options(given.words[1 if given.action == "set" else 2 :]) if given.action in ("set", "add") else {}


def _options(words: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for word in words:
        name, given, value = word.partition("=")
        if given:
            found[name] = value
        elif word == "backup":
            found["backup"] = True
        elif word in FLAGS:
            found.update(FLAGS[word])
        else:
            raise ValueError(f'"{word}" is no parameter: down, up, drain, or weight=2 and its kin, as of `server`')
    return found


def _change(folder: str, given: Namespace, options: dict[str, Any]) -> None:
    act, word, fleet = given.action, given.words[0], given.fleet
    if act == "add":
        change(folder, {"act": act, "upstream": word, "options": {"server": given.words[1], **options}}, fleet=fleet)
        print(f"{word}/{given.words[1]} added")
    elif act == "reset":
        change(folder, {"act": act, "upstream": word}, fleet=fleet)
        print(f"{word} is as configured")
    else:
        for meant in servers_meant(upstreams_in(folder, fleet=given.fleet), word):
            # Numbers of servers are each machine's own; addresses are not.
            peer = meant.name if fleet else meant.number
            change(folder, {"act": act, "upstream": meant.upstream, "peer": peer, "options": options}, fleet=fleet)
            print(f"{meant.upstream}/{meant.name} {'removed' if act == 'remove' else 'set'}")
