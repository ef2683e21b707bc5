"""`penstock tunnels --watch`: a screen that follows the tunnels, drawn with `rich`."""

from __future__ import annotations

import sys
import time
from collections import OrderedDict, deque
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from penstock.cli.tunnels_shown import COLUMNS, LEFT, gather, row, size_shown, summary
from penstock.process.asking import NobodyThere, ask_workers

BARS = " ▁▂▃▄▅▆▇█"
WIDTH = 40
"""Looks that a sparkline shows."""
OWN_WIDTH = 12
REMEMBERED = 5000
"""Tunnels of which the last look is kept, to tell how fast they are."""
CHROME = 9
"""Lines of the screen that are no tunnels."""


def sparkline(values: list[float], width: int) -> str:
    """The last values as bars, the highest of them a whole one."""
    shown = values[-width:]
    top = max(shown, default=0.0)
    if top <= 0:
        return "▁" * len(shown)
    return "".join(BARS[min(8, 1 + int(value / top * 7.999))] if value else BARS[1] for value in shown)


class Watch:
    """What has been seen so far. `look` takes an answer of all workers, `screen` draws it."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {"workers": [], "open": 0, "matched": 0, "tunnels": []}
        self.trouble = ""
        self._at = 0.0
        self._last: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._rates: dict[str, deque[float]] = {}
        self._open: deque[float] = deque(maxlen=WIDTH)
        self._in: deque[float] = deque(maxlen=WIDTH)
        self._out: deque[float] = deque(maxlen=WIDTH)

    def look(self, found: dict[str, Any], now: float) -> None:
        """Take in what is there now; `now` in seconds."""
        took = now - self._at if self._at else 0.0
        self._at = now
        self.found = found
        self.trouble = ""
        rate_in = rate_out = 0.0
        for entry in found["tunnels"]:
            name = entry["id"]
            before = self._last.pop(name, None)
            self._last[name] = entry["bytes_in"], entry["bytes_out"]
            rates = self._rates.setdefault(name, deque(maxlen=OWN_WIDTH))
            if before is None or not took:
                continue
            came = max(0, entry["bytes_in"] - before[0]) / took
            went = max(0, entry["bytes_out"] - before[1]) / took
            rates.append(came + went)
            rate_in += came
            rate_out += went
        while len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
        self._rates = {name: rates for name, rates in self._rates.items() if name in self._last}
        self._open.append(found["open"])
        if took:
            self._in.append(rate_in)
            self._out.append(rate_out)

    def screen(self, height: int) -> Group:
        """The whole screen, for so many lines."""
        head = Text()
        for name, values, unit in (("open", self._open, ""), ("in", self._in, "B/s"), ("out", self._out, "B/s")):
            latest = values[-1] if values else 0.0
            head.append(f"{name:>5} ", style="bold")
            head.append(f"{size_shown(latest) + unit:>10} ")
            head.append(sparkline(list(values), WIDTH) + "\n", style="cyan")
        note = Text(self.trouble or summary(self.found), style="red" if self.trouble else "dim")
        return Group(Panel(Group(head, note), title="penstock tunnels", subtitle="Ctrl-C ends"), self._table(height))

    def _table(self, height: int) -> Table:
        table = Table(box=None, expand=True, pad_edge=False)
        for name in (*COLUMNS, "TRAFFIC"):
            right = name not in LEFT and name != "TRAFFIC"
            table.add_column(name, justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
        busiest = sorted(self.found["tunnels"], key=lambda entry: (entry["idle"], -entry["age"]))
        for entry in busiest[: max(1, height - CHROME)]:
            rates = list(self._rates.get(entry["id"], ()))
            style = "yellow" if entry["state"] == "closing" else None
            cells = [Text(cell) for cell in row(entry)]
            table.add_row(*cells, Text(sparkline(rates, OWN_WIDTH), style="cyan"), style=style)
        return table


def watch(
    folder: str, question: dict[str, Any], every: float, *, looks: int = 0, console: Console | None = None
) -> int:
    """Follow them until Ctrl-C, or for so many looks. Raises `NobodyThere` if nobody is there at first."""
    screen = console or Console()
    if not screen.is_terminal:
        sys.stderr.write("penstock tunnels: --watch needs a terminal; use --json\n")
        return 2
    seen = Watch()
    seen.look(gather(ask_workers(folder, question), question["limit"]), time.monotonic())
    count = 1
    with Live(seen.screen(screen.height), console=screen, screen=True, auto_refresh=False) as live:
        live.refresh()
        try:
            while not looks or count < looks:
                time.sleep(every)
                count += 1
                try:
                    seen.look(gather(ask_workers(folder, question), question["limit"]), time.monotonic())
                except NobodyThere as error:
                    seen.trouble = str(error)
                live.update(seen.screen(screen.height), refresh=True)
        except KeyboardInterrupt:
            pass
    return 0
