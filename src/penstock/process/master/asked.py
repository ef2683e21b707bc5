"""What workers ask of the master in the name of somebody at a control socket: reloads, and which workers there are.

    worker -> master    ask     {"id": 7, "what": "reload" | "processes"}
    master -> worker    told    {"id": 7, ...}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from penstock.observe.errorlog import WARN, overhear
from penstock.process.channel import Message

if TYPE_CHECKING:
    from penstock.process.master.child import Child

ASK, TOLD = "ask", "told"
MOST_WAITING = 64
MOST_LINES = 200


class WaitingForReload(NamedTuple):
    """Somebody who waits for the end of a reload; `ends` is how many have to end until then."""

    child: Child
    number: int
    ends: int


class Asked:
    """The master's side. `reload` begins one and says whether it could; `under_way` says whether one is."""

    def __init__(
        self, reload: Callable[[], bool], under_way: Callable[[], bool], children: Mapping[int, Child]
    ) -> None:
        self._reload = reload
        self._under_way = under_way
        self._children = children
        self._waiting: list[WaitingForReload] = []
        self._lines: list[str] = []

    def handlers(self, child: Child) -> dict[str, Callable[[Message], None]]:
        """Return what takes a worker's questions, by the kind of message."""
        return {"steered": self.steered, ASK: partial(self.answer, child)}

    def answer(self, child: Child, message: Message) -> None:
        """Answer a question, now or when a reload has ended."""
        message.drop()
        number = message.fields.get("id")
        if type(number) is not int:
            return
        if message.fields.get("what") == "processes":
            listed = [{"pid": each.pid, "exiting": each.leaving} for each in self._children.values()]
            child.channel.send(TOLD, {"id": number, "processes": listed})
            return
        if len(self._waiting) >= MOST_WAITING:
            self._tell(child, number, ["too many wait for a reload"], succeeded=False)
            return
        if not self._waiting:
            self._lines = []
            overhear(self._hear)
        # One that is under way may have read the files before they were as they are now: the next one counts.
        self._waiting.append(WaitingForReload(child, number, 2 if self._under_way() else 1))
        if not self._reload():
            self._waiting.pop()
            self._tell(child, number, ["the program is on its way out, or being upgraded"], succeeded=False)
            self._hear_no_more()

    def steered(self, message: Message) -> None:
        """Have all workers look at what is set of upstreams: one of them has changed it."""
        message.drop()
        for child in self._children.values():
            child.channel.send("steer")

    def reloaded(self, *, succeeded: bool) -> None:
        """Tell those who wait for a reload that one has ended."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if each.ends > 1:
                self._waiting.append(each._replace(ends=each.ends - 1))
            else:
                self._tell(each.child, each.number, list(self._lines), succeeded=succeeded)
        self._hear_no_more()

    def _tell(self, child: Child, number: int, lines: list[str], *, succeeded: bool) -> None:
        child.channel.send(TOLD, {"id": number, "succeeded": succeeded, "lines": lines})

    def _hear(self, level: int, words: str) -> None:
        if level <= WARN and len(self._lines) < MOST_LINES:
            self._lines.append(words)

    def _hear_no_more(self) -> None:
        if not self._waiting:
            overhear(None)
