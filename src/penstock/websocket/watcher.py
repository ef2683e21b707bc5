"""The frames in what one side of a tunnel says, for somebody who looks on. Sans-IO; nothing is judged or held up.

Where the boundary of frames is known (`FrameWatcher`), every frame is told when it has ended. Where nobody has looked
at a tunnel before (`Synchroniser`), it is not known, and the first byte of a read is only taken for the first of a
frame when what follows bears that out:

    a read that is exactly one or more legal frames         by chance one in ten thousand
    SURE legal headers in a row, each where the last frame ends

Until then bytes are counted and not shown, and so again where a header is met that can be none.
"""

from __future__ import annotations

from typing import NamedTuple

from penstock.websocket.frames import CLOSE, CONTINUATION, FrameSender

SURE = 3
LONGEST_HEADER = 14
OPCODES = frozenset({0, 1, 2, 8, 9, 10})


class SeenFrame(NamedTuple):
    """A frame: `payload` is what was kept of its beginning, without the mask, `size` how long it is."""

    opcode: int
    final: bool
    rsv: int
    size: int
    payload: bytes


def unmasked(data: bytes, mask: bytes) -> bytes:
    """Take the mask of a client off (RFC 6455, section 5.3), or put it on."""
    size = len(data)
    pad = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")


class FrameWatcher:
    """Watches one direction. `keep` bytes of a payload are kept, `keep_packed` of a compressed message's.

    `skip` are the bytes to come of a frame under way, `held` the beginning of a header. `lost`: a header was met that
    can be none.
    """

    __slots__ = (
        "_head", "_keep", "_keep_packed", "_kept", "_left", "_mask", "_opening", "_packed", "_room", "_size", "lost",
        "side",
    )  # fmt: skip

    def __init__(
        self, side: FrameSender, keep: int, keep_packed: int, *, skip: int = 0, held: bytes = b""
    ) -> None:
        self.side = side
        self.lost = False
        self._keep = keep
        self._keep_packed = keep_packed
        self._left = skip
        self._head = held
        self._opening: int | None = None
        """The first byte of the frame under way; None where it began before anybody looked."""
        self._mask = b""
        self._room = 0
        self._size = 0
        self._kept: list[bytes] = []
        self._packed = False

    @property
    def at_boundary(self) -> bool:
        """Return whether no frame is under way."""
        return not (self._left or self._head)

    def feed(self, data: bytes | memoryview) -> list[SeenFrame]:
        """Take in what came next, and return the frames that have ended in it."""
        found: list[SeenFrame] = []
        at, size = 0, len(data)
        while at < size and not self.lost:
            left = self._left
            if left:
                count = min(left, size - at)
                room = self._room
                if room:
                    self._kept.append(bytes(data[at : at + min(count, room)]))
                    self._room = max(0, room - count)
                self._left = left - count
                at += count
                if count == left:
                    self._ended(found)
                continue
            head = self._head
            need = _needed(head)
            piece = bytes(data[at : at + need - len(head)])
            at += len(piece)
            self._head = head = head + piece
            if len(head) == need == _needed(head):
                self._head = b""
                self._begin(head, found)
        return found

    def _begin(self, head: bytes, found: list[SeenFrame]) -> None:
        first, second = head[0], head[1]
        opcode, short = first & 0x0F, second & 0x7F
        at = 2 if short < 126 else 4 if short == 126 else 10
        length = short if short < 126 else int.from_bytes(head[2:at], "big")
        control = opcode >= CLOSE
        if (
            opcode not in OPCODES
            or (second & 0x80 != self.side
            and not (control and self.side))
            or (control and (short > 125 or not first & 0x80 or first & 0x70))
            or (short == 126 and length < 126)
            or (short == 127 and not 0x10000 <= length < 1 << 63)
        ):
            self.lost = True
            return
        if not control and opcode != CONTINUATION:
            self._packed = bool(first & 0x40)
        self._opening = first
        self._mask = head[at:]
        self._size = self._left = length
        self._room = 125 if control else self._keep_packed if self._packed else self._keep
        if not length:
            self._ended(found)

    def _ended(self, found: list[SeenFrame]) -> None:
        first, kept = self._opening, b"".join(self._kept)
        self._kept = []
        if first is None:
            return
        self._opening = None
        payload = unmasked(kept, self._mask) if self._mask and kept else kept
        found.append(SeenFrame(first & 0x0F, bool(first & 0x80), first & 0x70, self._size, payload))


def _needed(head: bytes) -> int:
    """Return how many bytes the header has that begins like this, as far as that can be told."""
    if len(head) < 2:
        return 2
    short = head[1] & 0x7F
    return (2 if short < 126 else 4 if short == 126 else 10) + (4 if head[1] & 0x80 else 0)


class Synchroniser:
    """A direction in which the boundary of frames is not known yet. `watcher` is there once it is, `unseen` counts
    bytes that were not told as frames since `take_unseen`."""

    __slots__ = ("_keep", "_keep_packed", "_pending", "_side", "_trial", "_trial_bytes", "unseen", "watcher")

    def __init__(self, side: FrameSender, keep: int, keep_packed: int) -> None:
        self._side = side
        self._keep = keep
        self._keep_packed = keep_packed
        self._trial: FrameWatcher | None = None
        self._trial_bytes = 0
        self._pending: list[SeenFrame] = []
        self.unseen = 0
        self.watcher: FrameWatcher | None = None

    def feed(self, data: bytes | memoryview) -> list[SeenFrame]:
        """Take in what came next, and return the frames that are known to have ended in it."""
        if self.watcher is not None:
            found = self.watcher.feed(data)
            if self.watcher.lost:
                self.watcher = None
                self.unseen += len(data)
            return found
        trial = self._trial
        fresh = trial is None
        if trial is None:
            trial = self._trial = FrameWatcher(self._side, self._keep, self._keep_packed)
            self._pending = []
            self._trial_bytes = 0
        self._pending += trial.feed(data)
        self._trial_bytes += len(data)
        if trial.lost:
            self._trial = None
            self.unseen += self._trial_bytes
            return []
        if len(self._pending) >= SURE or (fresh and self._pending and trial.at_boundary):
            found, self._pending = self._pending, []
            self._trial, self.watcher = None, trial
            return found
        return []

    def take_unseen(self) -> int:
        """Return how many bytes were not told as frames since it was asked last."""
        count, self.unseen = self.unseen, 0
        return count
