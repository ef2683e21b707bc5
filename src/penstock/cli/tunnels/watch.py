"""`penstock tunnels --watch`: a screen that follows the tunnels, drawn with `rich`."""

from __future__ import annotations

import sys
import time
from collections import OrderedDict, deque

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from penstock.cli.tunnels.keys import BACKSPACE, ENTER, ESCAPE, Keyboard
from penstock.cli.tunnels.table import COLUMNS, LEFT, fitting, gather, row, safe, size_shown, summary
from penstock.observe.ask_workers import best_first
from penstock.observe.selection import Entry, ToldTunnels, TunnelsQuestion
from penstock.process.asking import NobodyThere, ask_workers

BARS = " ▁▂▃▄▅▆▇█"
WIDTH = 40
"""Looks that a sparkline shows."""
OWN_WIDTH = 12
REMEMBERED = 5000
"""Tunnels of which the last look is kept, to tell how fast they are."""
CHROME = 10
"""Lines of the screen that are no tunnels."""
TRAFFIC = "TRAFFIC"
GAP = 2


def sparkline(values: list[float], width: int) -> str:
    """Draw the last values as bars, the highest of them a whole one."""
    shown = values[-width:]
    top = max(shown, default=0.0)
    if top <= 0:
        return "▁" * len(shown)
    return "".join(BARS[min(8, 1 + int(value / top * 7.999))] if value else BARS[1] for value in shown)


SORTS = {"idle": "busiest", "age": "oldest", "bytes": "most bytes", "messages": "most messages"}
"""What the key s leads through: the order as workers know it, and its name for people."""
LONGEST_FILTER = 60


class TunnelScreen:
    """What has been seen so far. `update` takes an answer of all workers, `screen` draws it, `press` obeys a key.

    `sort` and `filter` are what the workers are asked for; `typing` is a filter that is not finished, None for none.
    """

    def __init__(self) -> None:
        self.found: ToldTunnels = {"workers": [], "open": 0, "matched": 0, "tunnels": []}
        self.trouble = ""
        self.sort = "idle"
        self.filter = ""
        self.typing: str | None = None
        self.ended = False
        self._at = 0.0
        self._last: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._rates: dict[str, deque[float]] = {}
        self._open: deque[float] = deque(maxlen=WIDTH)
        self._in: deque[float] = deque(maxlen=WIDTH)
        self._out: deque[float] = deque(maxlen=WIDTH)

    def update(self, found: ToldTunnels, now: float) -> None:
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

    def press(self, key: str) -> bool:
        """Do what a key stands for. Return whether the workers are to be asked anew."""
        if self.typing is not None:
            return self._type(key)
        if key in ("q", "Q"):
            self.ended = True
        elif key in ("s", "S"):
            names = list(SORTS)
            self.sort = names[(names.index(self.sort) + 1) % len(names)]
            return True
        elif key == "/":
            self.typing = self.filter
        elif key == ESCAPE and self.filter:
            self.filter = ""
            return True
        return False

    def _type(self, key: str) -> bool:
        assert self.typing is not None
        if key == ENTER:
            self.filter, self.typing = self.typing, None
            return True
        if key == ESCAPE:
            self.typing = None
        elif key == BACKSPACE:
            self.typing = self.typing[:-1]
        elif key.isprintable() and len(self.typing) < LONGEST_FILTER:
            self.typing += key
        return False

    def asking(self, question: TunnelsQuestion) -> TunnelsQuestion:
        """Return the question with what is chosen by keys."""
        select = {**question["select"], "text": self.filter} if self.filter else question["select"]
        return {**question, "select": select, "sort": self.sort}

    def screen(self, height: int, width: int = 200) -> Group:
        """Draw the whole screen, for so many lines and columns."""
        head = Text()
        for name, values, unit in (("open", self._open, ""), ("in", self._in, "B/s"), ("out", self._out, "B/s")):
            latest = values[-1] if values else 0.0
            head.append(f"{name:>5} ", style="bold")
            head.append(f"{size_shown(latest) + unit:>10} ")
            head.append(sparkline(list(values), max(1, min(WIDTH, width - 22))) + "\n", style="cyan")
        note = Text(self.trouble or summary(self.found), style="red" if self.trouble else "dim")
        chosen = f"{SORTS[self.sort]} first" + (f", with {self.filter}" if self.filter else "")
        if self.typing is not None:
            chosen = f"filter: {self.typing}_"
        keys = "q quit, s sort, / filter"
        top = Panel(Group(head, note, Text(safe(chosen), style="dim")), title="penstock tunnels", subtitle=keys)
        return Group(top, *self._rows(height, width))

    def _rows(self, height: int, width: int) -> list[Table | Text]:
        entries = self.found["tunnels"]
        if self.sort == "idle":  # those of one moment stay in their order from look to look
            entries = sorted(entries, key=lambda entry: (entry["idle"], -entry["age"]))
        room = max(1, height - CHROME)
        left = self.found["matched"] - min(room, len(entries))
        shown = entries[: max(1, room - 1)] if left > 0 else entries[:room]
        parts: list[Table | Text] = [self._table(shown, width)]
        below = self.found["matched"] - len(shown)
        if below > 0:
            parts.append(Text(f"{below} more below the edge of the screen", style="dim", no_wrap=True))
        return parts

    def _table(self, entries: list[Entry], width: int) -> Table:
        """These tunnels, with the columns there is room for; none of them is cut."""
        lines = [dict(zip(COLUMNS, row(entry), strict=True)) for entry in entries]
        widths = {name: max(len(name), *(len(line[name]) for line in lines), 0) for name in COLUMNS}
        widths[TRAFFIC] = OWN_WIDTH
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
        columns = fitting(widths, width)
        for name in columns:
            right = name not in LEFT and name != TRAFFIC
            table.add_column(name, justify="right" if right else "left", no_wrap=True, min_width=widths[name])
        for entry, line in zip(entries, lines, strict=True):
            style = "yellow" if entry["state"] == "closing" else None
            traffic = Text(sparkline(list(self._rates.get(entry["id"], ())), OWN_WIDTH), style="cyan")
            table.add_row(*(traffic if name == TRAFFIC else Text(line[name]) for name in columns), style=style)
        return table


def watch(
    folder: str, question: TunnelsQuestion, every: float, *, looks: int = 0, console: Console | None = None
) -> int:
    """Follow them until q or Ctrl-C, or for so many looks. Raises `NobodyThere` if nobody is there at first."""
    screen = console or Console()
    if not screen.is_terminal:
        sys.stderr.write("penstock tunnels: --watch needs a terminal; use --json\n")
        return 2
    seen = TunnelScreen()
    seen.update(_look(folder, question, seen), time.monotonic())
    count = 1
    drawn = Live(seen.screen(screen.height, screen.width), console=screen, screen=True, auto_refresh=False)
    with Keyboard(_keyboard_of(screen)) as keyboard, drawn as live:
        live.refresh()
        try:
            while not seen.ended and (not looks or count < looks):
                key = keyboard.wait(every)
                if not key or seen.press(key):
                    count += 1
                    try:
                        seen.update(_look(folder, question, seen), time.monotonic())
                    except NobodyThere as error:
                        seen.trouble = str(error)
                live.update(seen.screen(screen.height, screen.width), refresh=True)
        except KeyboardInterrupt:
            pass
    return 0


def _look(folder: str, question: TunnelsQuestion, seen: TunnelScreen) -> ToldTunnels:
    asked = seen.asking(question)
    return gather(ask_workers(folder, asked), asked["limit"], best_first)


def _keyboard_of(screen: Console) -> int:
    """Return the descriptor of the terminal that keys come from, -1 where there is none."""
    try:
        return sys.stdin.fileno() if screen.file.isatty() else -1
    except (AttributeError, OSError, ValueError):
        return -1
