"""Listens on a channel for what is expected. Every wait has a bound, and what came in its place is said."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from differential.spelling import spelled, unspelled
from transcripts.channels import FIN, RST, Channel
from transcripts.expected import Expected
from transcripts.frames import Frame, frame, heard
from transcripts.packets import KINDS

ENDS = (FIN, RST, "end")
_KEY = re.compile(r"(?i)(?:sec-websocket-key: |HTTP_SEC_WEBSOCKET_KEY=)(\S+)")


class Ear:
    """Of one side. `known` are the bytes that holes have kept, of the whole conversation; `key` and `status` are those
    of the last head."""

    def __init__(self, channel: Channel, *, by_client: bool, patience: float, known: dict[str, bytes]) -> None:
        self.channel = channel
        self.by_client = by_client
        self.patience = patience
        self.known = known
        self.key = ""
        self.status = ""
        self._length = 0

    def hear(self, text: str, more: Sequence[str]) -> None:
        """Expect what a line says, with those behind it."""
        verb, _, rest = text.partition(" ")
        parts = [text, *more]
        if verb == "head" or verb in KINDS:
            parts = [each for each in more if each.startswith(("frame ", "body ", "chunks ")) or each in ENDS]
            lines = [each for each in more if each not in parts]
            if verb == "head":
                self._head(rest, lines)
            else:
                self._packet(verb, lines)
        for each in parts:
            if each in ENDS:
                self._end(each)
            elif each.startswith("body "):
                self._body(each[5:])
            elif each.startswith("chunks "):
                self._chunks(unspelled(each[7:]))
            elif each.startswith("frame "):
                self._frame(frame(each))
            else:
                self._bytes(each)

    @property
    def rest(self) -> str:
        """What was not looked at yet, in words."""
        data = bytes(self.channel.heard)
        return f"; not looked at yet: {spelled(data, 400)!r}" if data else ""

    def _fill(self, deadline: float) -> None:
        """Wait for more."""
        if self.channel.end:
            raise AssertionError(f"it ended with {self.channel.end}{self.rest}")
        if not self.channel.fill(deadline - time.monotonic()) and time.monotonic() >= deadline:
            raise AssertionError(f"nothing more came within {self.patience:g} s{self.rest}")

    def _deadline(self) -> float:
        return time.monotonic() + self.patience

    def _end(self, how: str) -> None:
        deadline, channel = self._deadline(), self.channel
        while not channel.end:
            assert not channel.heard, f"something came before the end{self.rest}"
            self._fill(deadline)
        assert not channel.heard, f"something came before the end{self.rest}"
        assert how in ("end", channel.end), f"it ended with {channel.end}"

    def _bytes(self, text: str) -> None:
        expected, deadline, channel = Expected(text, self.known), self._deadline(), self.channel
        while True:
            data = bytes(channel.heard)
            verdict = expected.begins(data, final=bool(channel.end))
            if verdict.end is not None:
                self.known |= verdict.kept
                del channel.heard[: verdict.end]
                return
            if verdict.at is not None:
                before, behind = spelled(data[: verdict.at]), spelled(data[verdict.at :], 400)
                raise AssertionError(f"{text}\nwas expected, and behind {before!r} came\n{behind}")
            self._fill(deadline)

    def _frame(self, wanted: Frame) -> None:
        deadline = self._deadline()
        while (got := heard(bytes(self.channel.heard))) is None:
            self._fill(deadline)
        masked = self.by_client if wanted.masked is None else wanted.masked
        verdict = Expected(wanted.payload, self.known).all_of(got.payload[len(wanted.code) :])
        right = (got.first, got.masked) == (wanted.first, masked) and got.payload.startswith(wanted.code)
        assert right and verdict.end is not None, f"there came {got}"
        self.known |= verdict.kept
        del self.channel.heard[: got.size]

    def _body(self, text: str) -> None:
        """Take a body as long as the last head has said; the text is somewhere in it."""
        deadline = self._deadline()
        while len(self.channel.heard) < self._length:
            self._fill(deadline)
        body = bytes(self.channel.heard[: self._length])
        del self.channel.heard[: self._length]
        assert Expected(text, self.known).within(body.decode("latin-1")), f"the body is\n{spelled(body)}"

    def _chunks(self, wanted: bytes) -> None:
        """Take chunks up to the end of what is wanted, however it was cut."""
        deadline, joined = self._deadline(), b""
        while len(joined) < len(wanted):
            size, mark, rest = bytes(self.channel.heard).partition(b"\r\n")
            length = int(size, 16) if mark else 0
            if not mark or len(rest) < length + 2:
                self._fill(deadline)
                continue
            assert length and rest[length : length + 2] == b"\r\n", f"behind {joined!r} comes no chunk{self.rest}"
            joined += rest[:length]
            del self.channel.heard[: len(size) + length + 4]
        assert joined == wanted, f"the chunks are {joined!r}"

    def _head(self, first: str, more: list[str]) -> None:
        deadline = self._deadline()
        while (lines := self.channel.head()) is None:
            self._fill(deadline)
        self.status = lines[0]
        lengths = [line for line in lines if line.lower().startswith("content-length: ")]
        self._length = int(lengths[0].split()[1]) if lengths else 0
        if first:
            self._one_of(lines[:1], first)
        self._compare(lines, more)

    def _packet(self, kind: str, more: list[str]) -> None:
        deadline = self._deadline()
        while (taken := KINDS[kind](bytes(self.channel.heard))) is None:
            self._fill(deadline)
        lines, size = taken
        del self.channel.heard[:size]
        self._compare(lines, more)

    def _compare(self, lines: list[str], wanted: list[str]) -> None:
        """Find every wanted line, and none that begins as one with `no` before it."""
        for line in lines:
            if found := _KEY.match(line):
                self.key = found[1]
        for each in wanted:
            if each.startswith("no "):
                there = [line for line in lines if line.lower().startswith(each[3:].lower())]
                assert not there, f"there is {there}"
            else:
                self._one_of(lines, each)

    def _one_of(self, lines: list[str], wanted: str) -> None:
        expected = Expected(_field(wanted), self.known)
        for line in lines:
            verdict = expected.all_of(_field(line).encode("latin-1"))
            if verdict.end is not None:
                self.known |= verdict.kept
                return
        raise AssertionError(f"no line is {wanted!r} among these:\n" + "\n".join(lines))


def _field(line: str) -> str:
    """A line with the name of its field in lower case, which says the same."""
    name, mark, value = line.partition(": ")
    return name.lower() + mark + value if mark and " " not in name else line
