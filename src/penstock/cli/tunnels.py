"""`penstock tunnels`: what is open now in all workers, and closing it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from penstock.cli.parsing import USAGE_ERROR, Parser
from penstock.cli.tunnels_shown import COLUMNS, LEFT, age_shown, gather, row, safe, summary

if TYPE_CHECKING:
    from argparse import Namespace

NOT_THERE = 3
CODE = 1001


def parser() -> Parser:
    from penstock.cli.reading import add_places

    made = Parser(
        "tunnels",
        "List the tunnels that are open now in all workers of the running proxy, or close some of them. Everything\n"
        "given must hold: --peer and --idle together mean tunnels to that backend that have been silent so long.",
        examples=(
            ("penstock tunnels", "all of them, the oldest first"),
            ("penstock tunnels --peer 10.0.0.3 --idle 10m --json", "silent ones to one backend, for a program"),
            ("penstock tunnels --watch", "a screen that follows them"),
            ("penstock tunnels close --peer 10.0.0.3:8000 --code 1012 --spread 30s", "empty a backend gently"),
        ),
        exits=(
            "0  listed, or told to close",
            "1  close: no tunnel is meant",
            "2  the arguments make no sense",
            "3  no proxy runs there, or it may not be asked",
        ),
    )
    add_places(made)
    made.add_argument("action", nargs="?", choices=("list", "close"), default="list", metavar="list|close")
    made.add_argument("--socket", metavar="FOLDER", help="the control_socket, if the configuration is elsewhere")
    which = made.add_argument_group("which tunnels")
    which.add_argument("--id", help="one of them, as listed")
    which.add_argument("--peer", help="to this backend: its address, with or without the port")
    which.add_argument("--client", help="of this address, or this network: 10.1.0.0/16")
    which.add_argument("--server", metavar="NAME", help="of the server of this name")
    which.add_argument("--location", metavar="NAME", help="of this location, as it is written")
    which.add_argument("--state", choices=("open", "closing"), help="closing: a close frame has come or gone")
    which.add_argument("--idle", metavar="TIME", help="silent for so long at least: 10m")
    which.add_argument("--older", metavar="TIME", help="open for so long at least: 1d")
    shows = made.add_argument_group("list")
    shows.add_argument("--json", action="store_true", help="one object")
    shows.add_argument("--limit", metavar="N", type=int, default=1000, help="at most so many (1000), the oldest")
    shows.add_argument("--watch", action="store_true", help="follow them on the whole screen, until Ctrl-C")
    shows.add_argument("--every", metavar="TIME", default="1s", help="with --watch: how often to look (1s)")
    closes = made.add_argument_group("close")
    closes.add_argument("--all", action="store_true", help="every tunnel, where nothing says which")
    closes.add_argument("--code", type=int, default=CODE, help=f"the close code for WebSockets ({CODE}: going away)")
    closes.add_argument("--reason", default="", help="a text that goes with it")
    closes.add_argument("--spread", metavar="TIME", default="0", help="one after the other within this time")
    return made


def run(arguments: Sequence[str]) -> int:
    from penstock.process.asking import NobodyThere

    reader = parser()
    given = reader.parse_args(list(arguments))
    try:
        select = _selection(given)
        spread, every = _time(given.spread), _time(given.every)
        if given.limit < 0 or every <= 0:
            raise ValueError("--limit and --every are more than nothing")
    except ValueError as error:
        reader.error(str(error))
    try:
        folder = _folder(given)
        if given.action == "close":
            return _close(folder, given, select, spread)
        question = {"do": "tunnels", "select": select, "limit": given.limit}
        if given.watch:
            from penstock.cli.tunnels_watch import watch

            return watch(folder, question, every)
        return _list(folder, question, as_json=given.json)
    except NobodyThere as error:
        sys.stderr.write(f"penstock tunnels: {error}\n")
        return NOT_THERE
    except ValueError as error:
        sys.stderr.write(f"penstock tunnels: {error}\n")
        return USAGE_ERROR


def _list(folder: str, question: dict[str, Any], *, as_json: bool) -> int:
    from penstock.process.asking import ask_workers

    found = gather(ask_workers(folder, question), question["limit"])
    if as_json:
        print(json.dumps(found, indent=2))
        return 0
    rows = [COLUMNS, *(row(entry) for entry in found["tunnels"])]
    widths = [max(len(line[at]) for line in rows) for at in range(len(COLUMNS))]
    for line in rows if len(rows) > 1 else ():
        cells = zip(COLUMNS, line, widths, strict=True)
        text = "  ".join(cell.ljust(width) if name in LEFT else cell.rjust(width) for name, cell, width in cells)
        print(text.rstrip())
    print(summary(found))
    return 0


def _close(folder: str, given: Namespace, select: dict[str, Any], spread: float) -> int:
    from penstock.process.asking import ask_workers

    if not select and not given.all:
        raise ValueError("say which tunnels to close (--peer, --client, --idle ...), or --all")
    question = {"do": "close", "select": select, "code": given.code, "reason": _unicode(given.reason), "spread": spread}
    answers = ask_workers(folder, {**question, "all": bool(given.all)})
    meant = sum(answer["matched"] for answer in answers)
    over = f" within {age_shown(spread)}" if spread else ""
    print(f"{meant} tunnels are closed with {given.code}{over}" if meant else "no tunnel is meant")
    return 0 if meant else 1


def _selection(given: Namespace) -> dict[str, Any]:
    from penstock.observe.selection import Selection

    found: dict[str, Any] = {}
    for name in ("id", "client", "server", "location", "peer", "state"):
        if getattr(given, name):
            found[name] = getattr(given, name)
    for name in ("idle", "older"):
        if getattr(given, name):
            found[name] = _time(getattr(given, name))
    Selection.read(found)
    return found


def _time(text: str) -> float:
    from penstock.config.values import seconds

    try:
        return seconds(text)
    except ValueError:
        raise ValueError(f'"{safe(text)}" is no time; write 90s, 10m, 1d') from None


def _unicode(text: str) -> str:
    """An argument, which is bytes as latin-1 text, as what it was meant to be."""
    return text.encode("latin-1").decode("utf-8", "replace")


def _folder(given: Namespace) -> str:
    """Where the control sockets are: as the configuration says, of which nothing else is looked at. Where nothing is
    said about which proxy is meant, and the one of this machine does not run, a `penstock proxy` is."""
    from penstock.process.asking import NobodyThere

    if given.socket is not None:
        return str(given.socket).rstrip("/")
    from penstock.cli.control_folder import folder_of, is_there
    from penstock.cli.reading import launch_of

    named = given.file is not None or given.prefix is not None
    trouble = NobodyThere("control_socket is off in this configuration")
    found = ""
    try:
        found = folder_of(launch_of(given.file, given.prefix))
    except NobodyThere as error:
        trouble = error
    if not named and not (found and is_there(found)):
        return _foreground() or found or _nobody(trouble)
    return found or _nobody(trouble)


def _nobody(trouble: Exception) -> str:
    raise trouble


def _foreground() -> str:
    """The sockets of the one `penstock proxy` that runs; "" if none does. Raises `ValueError` where several do."""
    from penstock.cli.foreground import running

    found = running()
    if len(found) > 1:
        lines = "".join(f"\n  --socket {each.control}   {safe(each.command)}" for each in found)
        raise ValueError(f"several proxies run here; say which one is meant:{lines}")
    return found[0].control if found else ""
