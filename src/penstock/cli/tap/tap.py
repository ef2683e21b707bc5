"""`penstock tap`: the frames of live tunnels, as they pass."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from penstock.cli.parsing import USAGE_ERROR, Parser
from penstock.cli.tunnels.filters import add_filters, selection_of, time_of

if TYPE_CHECKING:
    from argparse import Namespace

    from penstock.cli.tap.messages import SeenMessage

NOT_THERE = 3
KEPT_FOR_ALL = 65536
"""Bytes of a frame that are asked for where more has to be known of it than is shown."""

_id = re.compile(r"\d+-\d+\.e?\d+").fullmatch


def parser() -> Parser:
    from penstock.cli.reading import add_places

    made = Parser(
        "tap",
        "Show what passes in live tunnels: WebSocket frames and events of event streams, with time, side, kind, size\n"
        "and text. Tunnels that open meanwhile are shown, too. Under load frames are left out, and counted. It costs\n"
        "nothing while nobody looks on; the error log says who looked at what.",
        examples=(
            ("penstock tap 8792-1.8", "one tunnel; the IDs are those of penstock tunnels"),
            ("penstock tap --location /chat --from client --text 80", "what clients say there"),
            ("penstock tap alice --redact '\"token\":\"[^\"]*\"'", "tunnels with this in a text; no secrets"),
            ("penstock tap --all --for 30s --har tap.har", "a file for Chrome's developer tools"),
        ),
        exits=(
            "0  the time is over, or Ctrl-C was pressed",
            "1  no tunnel was there that may be shown",
            "2  the arguments make no sense",
            "3  no proxy runs there, or it does not answer this user",
        ),
    )
    add_places(made)
    made.add_argument("which", nargs="?", metavar="ID|FILTER", help="the ID of a tunnel, or a part of any of its texts")
    made.add_argument("--socket", metavar="FOLDER", help="the control_socket, if the configuration is elsewhere")
    made.add_argument("--all", action="store_true", help="every tunnel; needed if no filter is given")
    made.add_argument("--from", dest="side", choices=("client", "backend"), help="only what this side says")
    made.add_argument("--text", metavar="N", type=int, default=120, help="show N characters of a text at most (120)")
    made.add_argument("--redact", metavar="EXPR", help="show [redacted] in place of what this expression matches")
    made.add_argument("--har", metavar="FILE", help="write a HAR file at the end")
    made.add_argument("--for", dest="time", metavar="TIME", help="end after this time: 30s")
    add_filters(made)
    return made


def run(arguments: Sequence[str]) -> int:
    from penstock.cli.tunnels.tunnels import folder_for
    from penstock.process.asking import NobodyThere

    reader = parser()
    given = reader.parse_args(list(arguments))
    try:
        select = _selection(given)
        seconds = None if given.time is None else time_of(given.time)
        if given.text < 0 or seconds == 0:
            raise ValueError("--text and --for are more than nothing")
        redact = None if given.redact is None else re.compile(given.redact.encode("latin-1").decode("utf-8", "replace"))
        folder = folder_for(given)
        return Tap(given, redact).run(folder, select, seconds)
    except re.error as error:
        reader.error(f"--redact is no regular expression: {error}")
    except NobodyThere as error:
        sys.stderr.write(f"penstock tap: {error}\n")
        return NOT_THERE
    except ValueError as error:
        sys.stderr.write(f"penstock tap: {error}\n")
        return USAGE_ERROR
    except OSError as error:
        sys.stderr.write(f"penstock tap: {error.filename or ''}: {error.strerror}\n")
        return USAGE_ERROR


def _selection(given: Namespace) -> dict[str, object]:
    select = selection_of(given)
    if given.which is not None:
        select["id" if _id(given.which) else "text"] = given.which
    if not select and not given.all:
        raise ValueError("say which tunnels to look at (an ID, a text, --location, --peer ...), or --all")
    return select


class Tap:
    """One look at what passes."""

    def __init__(self, given: Namespace, redact: re.Pattern[str] | None) -> None:
        from penstock.cli.tap.har import Har
        from penstock.cli.tap.messages import Reading

        self._given = given
        self._redact = redact
        self._reading = Reading(redact)
        self._har = None if given.har is None else Har()
        self._ticks: dict[str, dict[str, Any]] = {}
        self._opened = 0
        self._told_left_out = 0

    def run(self, folder: str, select: dict[str, object], seconds: float | None) -> int:
        """Show what passes until the end; the exit code. Raises what `follow` raises, and `OSError`."""
        from penstock.process.asking import NobodyThere
        from penstock.process.following import follow

        keep = self._given.text * 4
        if self._har is not None or self._redact is not None:
            keep = max(keep, KEPT_FOR_ALL)
        question = {"do": "tap", "select": select, "keep": min(keep, 1 << 20), "from": self._given.side or ""}
        try:
            for worker, told in follow(folder, question, seconds):
                self._take(worker, told)
        except KeyboardInterrupt:
            pass
        if not self._ticks:
            raise NobodyThere("the proxy does not answer this user, or too many ask it")
        if self._har is not None:
            count = self._har.write(self._given.har)
            sys.stderr.write(f"{self._given.har}: {count} tunnels\n")
        self._sum_up()
        return 0 if self._opened else 1

    def _take(self, worker: str, told: dict[str, Any]) -> None:
        from penstock.cli.tap.messages import is_message

        if is_message(told):
            message = self._reading.read(told)
            if self._har is not None:
                self._har.add(message)
            print(line(message, self._given.text), flush=True)
        elif "open" in told:
            self._opened += 1
            if self._har is not None:
                self._har.opened(told["open"], float(told["now"]))
            _note(_opening(told["open"]))
        elif "closed" in told:
            self._reading.forget(str(told["closed"]))
            _note(f"{told['closed']} has ended")
        elif "tick" in told:
            before = self._ticks.get(worker, {})
            self._ticks[worker] = {name: max(value, before.get(name, 0)) for name, value in told["tick"].items()}
            self._say_left_out()

    def _say_left_out(self) -> None:
        """Say it as soon as something is: what is shown looks like all there is."""
        count = self._sum("left_out")
        if count > self._told_left_out:
            _note(f"{count - self._told_left_out} frames were left out: there are too many to be shown")
            self._told_left_out = count

    def _sum(self, name: str) -> int:
        return sum(int(tick.get(name, 0)) for tick in self._ticks.values())

    def _sum_up(self) -> None:
        parts = [f"{self._sum('shown')} frames of {self._opened} tunnels shown", f"{self._sum('left_out')} left out"]
        if self._sum("forbidden"):
            parts.append(f"{self._sum('forbidden')} tunnels may not be shown (tap off)")
        if self._sum("beyond"):
            parts.append(f"{self._sum('beyond')} tunnels more than can be looked at")
        _note(", ".join(parts))


def _opening(entry: dict[str, Any]) -> str:
    from penstock.cli.tunnels.table import age_shown, safe

    words = {
        "websocket": "a WebSocket",
        "tunnel": "relayed as it is: frames are shown from where one is seen to begin",
        "event_stream": "an event stream" + ("" if "events" in entry else ", compressed: its bytes are counted"),
    }
    where = f"{entry['client']} -> {entry['location']} -> {entry['peer'] or '-'}"
    return safe(f"{entry['id']}: {where}, {age_shown(float(entry['age']))} old; {words.get(str(entry['kind']), '')}")


def _note(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(f"# {text}\n")
    sys.stderr.flush()


def line(message: SeenMessage, most: int) -> str:
    """Write a message as a line: time, tunnel, side, kind, size, text."""
    from penstock.cli.tap.messages import escaped

    clock = datetime.fromtimestamp(message.time).strftime("%H:%M:%S.%f")[:-3]
    kind = message.kind + ("+" if message.more else "") + (" deflated" if message.packed else "")
    text = message.text
    if text is None:
        shown = f"({message.why_not})"
    else:
        text = text.rstrip("\r\n") if message.kind in ("event", "comment") else text
        shown = escaped(text[:most]) + ("..." if most and (len(text) > most or message.cut) else "")
    begun = f"{clock}  {message.tunnel}  {message.side:<7}  {kind:<12}  {message.size:>6}"
    return f"{begun}  {shown}" if shown else begun
