"""One direction of a conversation: says which bytes may be passed on, and what they mean. Sans-IO.

    feed(bytes) -> bytes to pass on            news: what happened meanwhile, for whoever holds the conversation

Payloads are stepped over, neither copied nor unmasked. What begins a frame is kept until its header is whole, a control
frame until all of it is there (131 bytes at most): so the other side is always either inside a data frame or between
two frames, and never has half a header.

A client has to mask what it sends, and some leave that out where they answer a ping or say goodbye. Such a control
frame is taken all the same, within bounds, and masked before it goes on. Data without a mask are not taken: they may be
what a page has made somebody send (RFC 6455, section 10.3).

What becomes of what comes is its `mode`: the table is in `states.py`, what is counted in `counts.py`.
"""

from __future__ import annotations

import os

from penstock.websocket.breaches import SHORT, breach
from penstock.websocket.close_reasons import Why
from penstock.websocket.frames import (
    CLOSE,
    CONTROL,
    FIRST,
    MORE,
    NO_CODE,
    PING,
    PONG,
    SINGLE,
    FrameSender,
    content,
    control_frame,
    kinds_for,
    may_be_sent,
    whole_for,
)
from penstock.websocket.standing import FOREVER, Standing
from penstock.websocket.states import FrameState
from penstock.websocket.terms import NO_LIMITS, DirectionLimits

PASS, FINISH, DROP, OVER, BLIND = map(int, FrameState)
"""The modes as plain numbers, which are compared faster than members of an enum."""

ANSWERED, CLOSED, BROKEN, FINISHED = 1, 2, 4, 8
"""News: our ping was answered; a close frame came; the protocol or a limit was broken; FINISH has become DROP."""

BARE, BARE_RATE = 1000, 100.0
"""Control frames without a mask that are taken from a client: so many at once, and so many a second."""


class Direction(Standing):
    """A direction of a conversation: what comes from one side. `rsv` are the reserved bits that an extension uses.

    `close_code` is that of the close frame that came, 1005 if it had none. `broken` says why there is the
    news BROKEN, `wrong` in words. `awaited` is the payload of the pong that is to be swallowed. `busy` says that the
    next byte does not simply begin a message: the quick way (`singles`, `payload`) is not for it. `lenient`: what
    breaks the protocol goes on as it is, unseen from there on. `left` are the bytes to come of the frame under way,
    `longest` what a frame may hold. `slow`: each message is looked at by itself, as a rate or very low limits ask for.
    """

    __slots__ = (
        "_allowance",
        "_bare",
        "awaited",
        "broken",
        "close_code",
        "kinds",
        "lenient",
        "limits",
        "longest",
        "mode",
        "news",
        "rsv",
        "side",
        "slow",
        "whole",
        "wrong",
    )

    def __init__(
        self, side: FrameSender, rsv: int = 0, limits: DirectionLimits = NO_LIMITS, *, lenient: bool = False
    ) -> None:
        self.side = side
        self.lenient = lenient
        self.rsv = rsv
        self.kinds = kinds_for(rsv)
        self.whole = whole_for(side)
        self.limits = limits
        self.mode = PASS
        self.news = 0
        self.singles = 0
        self._others = 0
        self._whole_messages = 0
        self.payload = 0
        self.pings = 0
        self.pongs = 0
        self.close_code: int | None = None
        self.broken: Why | None = None
        self.wrong = ""
        self.awaited: bytes | None = None
        self.left = 0
        self._held = b""
        self._fragmented = False
        self._message = 0
        self._allowance = 0.0
        self._bare = 0.0
        self.slow = bool(limits.rate or 0 < limits.frame < SHORT or 0 < limits.message < SHORT)
        self.longest = min(limits.frame or FOREVER, limits.message or FOREVER)
        self.busy = self.slow

    @property
    def stage(self) -> FrameState:
        """Return the mode by its name."""
        return FrameState(self.mode)

    @property
    def at_boundary(self) -> bool:
        """Return whether what was passed on so far ended with a frame."""
        return not self.left and self.mode != BLIND

    def finish(self) -> None:
        """Pass nothing more on once the frame that is under way has ended."""
        if self.mode == PASS:
            self.mode = FINISH if self.left else DROP
            self.busy = True

    def drop(self) -> None:
        """Pass nothing more on."""
        if self.mode in (PASS, FINISH, BLIND):
            self.mode = OVER if self.mode == BLIND else DROP
            self.busy = True

    def begins(self, data: bytes | bytearray | memoryview, size: int) -> bool:
        """Take in a long frame that begins `data` and does not end before it, the second quickest way: the first byte
        is that of an unfragmented message, and it is not `busy`. False: nothing has been done."""
        second = data[1]
        if second & 0x80 != self.side or size < 14:
            return False
        if second & 0x7F == 126:
            length = data[2] << 8 | data[3]
            header = 8 if second & 0x80 else 4
            if length < 126:
                return False
        else:
            length = int.from_bytes(data[2:10], "big")
            header = 14 if second & 0x80 else 10
            if not 0x10000 <= length < FOREVER:
                return False
        left = header + length - size
        if left < 0 or length > self.longest:
            return False
        self.singles += 1
        self.payload += size - header
        if left:
            self.left = left
            self.busy = True
        return True

    def feed(self, data: bytes | bytearray | memoryview, now: float) -> bytes | bytearray | memoryview:
        """Return what may be passed on: `data` itself, nearly always. `now` (seconds) is for the rate."""
        mode = self.mode
        left = self.left
        size = len(data)
        if mode == PASS and left >= size:
            self.left = left - size
            self.payload += size
            if left == size:
                self.update_busy()
            return data
        if mode == BLIND:
            return data
        if mode == OVER:
            return b""
        if self._held:
            data = self._held + bytes(data)
            self._held = b""
            size = len(data)
            fresh = False
        else:
            fresh = True
        at = min(left, size)
        self.left = left - at
        self.payload += at
        spans: list[tuple[int, int] | bytes] | None = None
        start = 0
        end = at if mode == FINISH else size if mode == PASS else 0
        if mode == FINISH and not self.left:
            self.mode = DROP
            self.news |= FINISHED
        while at < size:
            if not self._fragmented and not self.slow:
                at = self._run(data, at, size)
                if at >= size:
                    break
            total, passes = self._frame(data, at, size, now)
            if not total:
                if self.mode == BLIND:
                    at = size
                elif self.broken is None:
                    self._held = bytes(data[at:size])
                break
            if passes is not True:
                if spans is None:
                    spans = []
                if start < at:
                    spans.append((start, at))
                if passes and at < end:
                    spans.append(passes)
                start = at + total
            at += total
            if self.mode == OVER:
                break
        self.update_busy()
        stop = min(at, size, end)
        if spans is None:
            if stop == size and fresh:
                return data
            return data[:stop]
        if start < stop:
            spans.append((start, stop))
        return b"".join([each if type(each) is bytes else bytes(data[each[0] : min(each[1], end)]) for each in spans])

    def _run(self, data: bytes | bytearray | memoryview, at: int, size: int) -> int:
        """Step over short, whole, unfragmented data frames, and return where the first other one begins."""
        whole, kinds = self.whole, self.kinds
        count = 0
        start = at
        while at + 1 < size:
            total = whole[data[at + 1]]
            if not total or at + total > size or kinds[data[at]] != SINGLE:
                break
            count += 1
            at += total
        if count:
            self.singles += count
            self.payload += at - start - count * (6 if self.side else 2)
        return at

    def _frame(self, data: bytes | bytearray | memoryview, at: int, size: int, now: float) -> tuple[int, bool | bytes]:
        """Take in the frame that begins at `at`: how many bytes to step over, and whether they are passed on, or what
        is in their place.

        (0, False) where its header is not all there, or wrong (`broken`).
        """
        have = size - at
        if have < 2:
            return 0, False
        first, second = data[at], data[at + 1]
        kind = self.kinds[first]
        wrong = breach(kind, first, second, self.side, inside=self._fragmented)
        if wrong:
            return self._break(Why.PROTOCOL, wrong)
        length = second & 0x7F
        header = 2
        if length == 126:
            header = 4
            if have < 4:
                return 0, False
            length = data[at + 2] << 8 | data[at + 3]
            if length < 126:
                return self._break(Why.PROTOCOL, "a length is not in its shortest form")
        elif length == 127:
            header = 10
            if have < 10:
                return 0, False
            length = int.from_bytes(data[at + 2 : at + 10], "big")
            if not 0x10000 <= length < 1 << 63:
                return self._break(Why.PROTOCOL, "a length is not in its shortest form, or has 64 bits")
        if second & 0x80:
            header += 4
        if kind == CONTROL:
            return self._control(data, at, header, length, have, now)
        if have < header:
            return 0, False
        limits = self.limits
        if limits and self._exceeds(kind, length, now):
            return 0, False
        self._others += 1
        if kind in (FIRST, MORE):
            self._fragmented = True
            self._message += length
        else:
            self._fragmented = False
            self._message = 0
            self._whole_messages += 1
        total = header + length
        if total > have:
            self.left = total - have
            self.payload += have - header
            return have, True
        self.payload += length
        return total, True

    def _control(
        self, data: bytes | bytearray | memoryview, at: int, header: int, length: int, have: int, now: float
    ) -> tuple[int, bool | bytes]:
        total = header + length
        if have < total:
            return 0, False
        opcode = data[at] & 0x0F
        bare = self.side and not data[at + 1] & 0x80
        if bare:
            self._bare = max(self._bare, now) + 1 / BARE_RATE
            if self._bare - now > BARE / BARE_RATE:
                return self._break(Why.PROTOCOL, "a client's control frames are not masked, and too many")
        if opcode == PONG:
            if self.awaited is not None and content(data, at, header, length) == self.awaited:
                self.awaited = None
                self.news |= ANSWERED
                return total, False
            self.pongs += 1
        elif opcode == CLOSE:
            code = int.from_bytes(content(data, at, header, length)[:2], "big") if length else NO_CODE
            if length and not may_be_sent(code):
                return self._break(Why.PROTOCOL, f"the close code is {code}")
            self.close_code = code
            self.news |= CLOSED
            self.mode = OVER
        else:
            assert opcode == PING
            self.pings += 1
        if opcode != CLOSE and self.limits.rate and self._too_often(now):
            return 0, False
        self._others += 1
        if bare:
            return total, control_frame(opcode, content(data, at, header, length), os.urandom(4))
        return total, True

    def _exceeds(self, kind: int, length: int, now: float) -> bool:
        """Return whether a data frame breaks a limit."""
        limits = self.limits
        if limits.frame and length > limits.frame:
            self._break(Why.FRAME_SIZE, f"a frame of {length} bytes is larger than websocket_max_frame")
        elif limits.message and self._message + length > limits.message:
            size = self._message + length
            self._break(Why.MESSAGE_SIZE, f"a message of {size} bytes or more is larger than websocket_max_message")
        elif limits.rate and kind in (SINGLE, FIRST):
            self._too_often(now)
        return self.broken is not None

    def _too_often(self, now: float) -> bool:
        """Apply the generic cell rate algorithm: `_allowance` is when the next message would be due at an even pace."""
        limits = self.limits
        due = max(self._allowance, now)
        if due - now > limits.burst / limits.rate + 1e-6:
            self._break(Why.RATE, "messages come faster than websocket_rate allows")
            return True
        self._allowance = due + 1 / limits.rate
        return False

    def _break(self, why: Why, wrong: str) -> tuple[int, bool]:
        self.broken = why
        self.wrong = wrong
        self.news |= BROKEN
        self.mode = BLIND if self.lenient and why is Why.PROTOCOL and self.mode == PASS else OVER
        return 0, False

    def update_busy(self) -> None:
        """Work out `busy`, after `left` has come to its end."""
        self.busy = self.slow or self.mode != PASS or bool(self.left or self._held or self._fragmented)
