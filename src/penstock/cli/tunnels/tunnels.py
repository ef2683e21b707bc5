"""`penstock tunnels`: what is open now in all workers, and closing it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from penstock.cli.parsing import USAGE_ERROR, Parser
from penstock.cli.tunnels.filters import add_filters, selection_of, time_of
from penstock.cli.tunnels.table import COLUMNS, LEFT, age_shown, as_json, gather, oldest_of_machines, row, safe, summary

if TYPE_CHECKING:
    from argparse import Namespace

    from penstock.observe.selection import TunnelsQuestion

NOT_THERE = 3
CODE = 1001


def parser() -> Parser:
    from penstock.cli.reading import add_places

    made = Parser(
        "tunnels",
        "List the tunnels that are open now in all workers of the running proxy, or close some of them. With\n"
        "several filters, a tunnel must match all: --peer and --idle are about silent tunnels to that backend.",
        examples=(
            ("penstock tunnels", "all of them, the oldest first"),
            ("penstock tunnels --peer 10.0.0.3 --idle 10m --json", "silent ones to one backend, for a program"),
            ("penstock tunnels --fleet --client 10.1.0.0/16", "those of a network, on all machines of the fleet"),
            ("penstock tunnels --watch", "a screen that follows them"),
            (
                "penstock tunnels close --peer 10.0.0.3:8000 --code 1012 --spread 30s",
                "those of a backend, which new ones may go to (penstock drain keeps them away)",
            ),
        ),
        exits=(
            "0  the tunnels are listed, or are being closed",
            "1  close: no tunnel matched",
            "2  the arguments make no sense",
            "3  no proxy runs there, or it does not answer this user",
        ),
    )
    add_places(made)
    made.add_argument("action", nargs="?", choices=("list", "close"), default="list", metavar="list|close")
    made.add_argument("--socket", metavar="FOLDER", help="the control_socket, if the configuration is elsewhere")
    made.add_argument("--fleet", action="store_true", help="of all machines of the fleet, not of this one alone")
    add_filters(made)
    shows = made.add_argument_group("list")
    shows.add_argument("--json", action="store_true", help="one object")
    shows.add_argument("--limit", metavar="N", type=int, default=1000, help="show N tunnels at most, the oldest (1000)")
    shows.add_argument("--offset", metavar="N", type=int, default=0, help="leave out the N first ones of the list")
    shows.add_argument("--watch", action="store_true", help="follow them on the whole screen, until Ctrl-C")
    shows.add_argument("--every", metavar="TIME", default="1s", help="with --watch: how often to look (1s)")
    closes = made.add_argument_group("close")
    closes.add_argument("--all", action="store_true", help="close every tunnel; needed if no filter is given")
    closes.add_argument("--code", type=int, default=CODE, help=f"the close code for WebSockets ({CODE}: going away)")
    closes.add_argument("--reason", default="", help="a text for the close frame")
    closes.add_argument("--spread", metavar="TIME", default="0", help="one after the other within this time")
    return made


def run(arguments: Sequence[str]) -> int:
    from penstock.process.asking import NobodyThere, Refusal

    reader = parser()
    given = reader.parse_args(list(arguments))
    try:
        select = selection_of(given)
        spread, every = time_of(given.spread), time_of(given.every)
        if given.limit < 0 or given.offset < 0 or every <= 0:
            raise ValueError("--limit, --offset and --every are more than nothing")
        if given.fleet and given.watch:
            raise ValueError("--watch is for one machine: --fleet lists once")
    except ValueError as error:
        reader.error(str(error))
    try:
        folder = folder_for(given)
        if given.action == "close":
            return _close(folder, given, select, spread)
        question: TunnelsQuestion = {"do": "tunnels", "select": select, "limit": given.limit + given.offset}
        if given.watch:
            from penstock.cli.tunnels.watch import watch

            return watch(folder, question, every)
        return _list(folder, question, given)
    except (NobodyThere, Refusal) as error:
        sys.stderr.write(f"penstock tunnels: {error}\n")
        return NOT_THERE
    except ValueError as error:
        sys.stderr.write(f"penstock tunnels: {error}\n")
        return USAGE_ERROR


def _list(folder: str, question: TunnelsQuestion, given: Namespace) -> int:
    from penstock.process.asking import ask_fleet, ask_workers

    if given.fleet:
        told = ask_fleet(folder, question)
        found = gather(told["answers"], question["limit"], oldest_of_machines)
        found |= {"machines": told["machines"], "silent": told["silent"]}
    else:
        found = gather(ask_workers(folder, question), question["limit"])
    found["tunnels"] = found["tunnels"][given.offset :]
    if given.json:
        print(as_json(found))
        return 0
    columns = ("MACHINE", *COLUMNS) if given.fleet else COLUMNS
    machines = [(safe(str(entry.get("machine", ""))),) if given.fleet else () for entry in found["tunnels"]]
    rows = [columns, *((*machine, *row(entry)) for machine, entry in zip(machines, found["tunnels"], strict=True))]
    widths = [max(len(line[at]) for line in rows) for at in range(len(columns))]
    for line in rows if len(rows) > 1 else ():
        cells = zip(columns, line, widths, strict=True)
        text = "  ".join(cell.ljust(width) if name in LEFT else cell.rjust(width) for name, cell, width in cells)
        print(text.rstrip())
    print(summary(found))
    return 0


def _close(folder: str, given: Namespace, select: dict[str, object], spread: float) -> int:
    from penstock.process.asking import ask_fleet, ask_workers

    if not select and not given.all:
        raise ValueError("say which tunnels to close (--peer, --client, --idle ...), or --all")
    question = {"do": "close", "select": select, "code": given.code, "reason": _unicode(given.reason), "spread": spread}
    question["all"] = bool(given.all)
    answers = ask_fleet(folder, question)["answers"] if given.fleet else ask_workers(folder, question)
    matched = sum(answer["matched"] for answer in answers)
    over = f" within {age_shown(spread)}" if spread else ""
    what = "1 tunnel is" if matched == 1 else f"{matched} tunnels are"
    print(f"{what} closed with {given.code}{over}" if matched else "no tunnel matched")
    return 0 if matched else 1


def _unicode(text: str) -> str:
    """An argument, which is bytes as latin-1 text, as what it was meant to be."""
    return text.encode("latin-1").decode("utf-8", "replace")


def folder_for(given: Namespace) -> str:
    """Find where the control sockets are: as the configuration says, of which nothing else is looked at.

    Where nothing is said about which proxy is meant, and the one of this machine does not run, a `penstock proxy` is.
    """
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
        raise ValueError(f"several proxies run here; name one of them:{lines}")
    return found[0].control if found else ""
