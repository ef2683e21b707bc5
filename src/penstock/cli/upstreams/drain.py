"""`penstock drain`: a server gets no new sessions, and its tunnels are sent away gently, if that is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.cli.parsing import Parser
from penstock.cli.tunnels.table import age_shown
from penstock.cli.tunnels.tunnels import folder_for
from penstock.cli.upstreams.ask import MeantServer, add_place, change, moved, reported, servers_meant, upstreams_in

CODE = 1012
REDIAL_WINDOW = 30.0
"""Seconds in which tunnels go on with other servers, where nothing else is said."""


def parser() -> Parser:
    made = Parser(
        "drain",
        "Give a server nothing new, in all workers and without a reload: sessions that stick to it and open tunnels\n"
        "go on. With --spread its tunnels are closed one after the other within that time, so that their clients\n"
        "come back to other servers little by little. With --redial those with websocket_redial, and event streams\n"
        "with event_stream_redial, go on with other servers, and no client is disconnected. It stays so over reloads,\n"
        "until --undo.",
        examples=(
            ("penstock drain 10.0.0.3:8000", "nothing new goes there"),
            ("penstock drain app/10.0.0.3:8000 --spread 60s", "empty it within a minute, in this upstream"),
            ("penstock drain app/10.0.0.3:8000 --redial", "empty it, with no client disconnected"),
            ("penstock drain 10.0.0.3:8000 --undo", "give it its share again"),
        ),
        exits=(
            "0  done, in all workers",
            "1  refused: the message says why, and nothing is changed",
            "2  the arguments make no sense, or there is no such server",
            "3  no proxy runs there, or it does not answer this user",
        ),
    )
    add_place(made)
    made.add_argument("peer", metavar="PEER", help="an address, UPSTREAM/ADDRESS or UPSTREAM/ID")
    made.add_argument("--spread", metavar="TIME", help="close its tunnels, one after the other within this time")
    words = f"let its tunnels go on with other servers, over --spread ({REDIAL_WINDOW:g}s)"
    made.add_argument("--redial", action="store_true", help=words)
    made.add_argument("--code", type=int, default=CODE, help=f"with --spread: the close code ({CODE}: service restart)")
    made.add_argument("--undo", action="store_true", help="let it have new ones again")
    return made


def run(arguments: Sequence[str]) -> int:
    reader = parser()
    given = reader.parse_args(list(arguments))
    if given.undo and given.spread is not None:
        reader.error("--undo closes nothing: take --spread out")

    if given.undo and given.redial:
        reader.error("--undo moves nothing: take --redial out")

    def act() -> None:
        spread = None if given.spread is None else _seconds(given.spread)
        folder = folder_for(given)
        for meant in servers_meant(upstreams_in(folder, fleet=given.fleet), given.peer):
            words = _drain(folder, meant, undo=given.undo, fleet=given.fleet)
            if given.redial:
                window = REDIAL_WINDOW if spread is None else spread
                words += moved(folder, meant, window, 1.0, [meant.name], fleet=given.fleet)
            elif spread is not None:
                words += _closed(folder, meant, spread, given.code, fleet=given.fleet)
            print(words)

    return reported("drain", act)


def _drain(folder: str, meant: MeantServer, *, undo: bool, fleet: bool) -> str:
    order = {"act": "set", "upstream": meant.upstream, "peer": meant.name if fleet else meant.number}
    change(folder, {**order, "options": {"drain": not undo}}, fleet=fleet)
    return f"{meant.upstream}/{meant.name} {'has its share again' if undo else 'gets nothing new'}"


def _closed(folder: str, meant: MeantServer, spread: float, code: int, *, fleet: bool) -> str:
    from penstock.process.asking import ask_fleet, ask_workers

    select = {"peer": meant.name, "upstream": meant.upstream}
    question = {"do": "close", "select": select, "code": code, "spread": spread}
    answers = ask_fleet(folder, question)["answers"] if fleet else ask_workers(folder, question)
    count = sum(answer["matched"] for answer in answers)
    tunnels = "1 tunnel is" if count == 1 else f"{count} tunnels are"
    return f"; {tunnels} closed with {code}{f' within {age_shown(spread)}' if spread else ''}"


def _seconds(text: str) -> float:
    from penstock.config.values import seconds

    try:
        return seconds(text)
    except ValueError:
        raise ValueError(f'"{text}" is no time; write 90s, 10m') from None
