"""One direction of a conversation: says which bytes may be passed on, and what they mean. Sans-IO.

    feed(bytes) -> bytes to pass on            news: what happened meanwhile, for whoever holds the conversation

Payloads are stepped over, neither copied nor unmasked. What begins a frame is kept until its header is whole, a control
frame until all of it is there (131 bytes at most): so the other side is always either inside a data frame or between
two frames, and never has half a header.

    mode      what comes from this side
    PASS      is passed on
    FINISH    is passed on to the end of the frame that is under way, then as DROP
    DROP      is looked at, for the close frame that is awaited, and thrown away
    OVER      is thrown away: a close frame has come, or the protocol was broken
    BLIND     is passed on as it is: the protocol was broken where that is not our business
"""

from __future__ import annotations

from typing import Any

from penstock.websocket.endings import Why
from penstock.websocket.frames import (
    CLOSE,
    CONTROL,
    FIRST,
    MORE,
    NO_CODE,
    PING,
    PONG,
    SINGLE,
    Side,
    kinds_for,
    may_be_sent,
    whole_for,
)
from penstock.websocket.terms import NO_LIMITS, Limits

PASS, FINISH, DROP, OVER, BLIND = range(5)

ANSWERED, CLOSED, BROKEN, FINISHED = 1, 2, 4, 8
"""News: our ping was answered; a close frame came; the protocol or a limit was broken; FINISH has become DROP."""

FOREVER = 1 << 63
"""Longer than any frame may be."""

SHORT = 125
"""Longest payload of a control frame, and of a frame with the shortest header."""


class Direction:
    """What comes from one side. `rsv` are the reserved bits that an extension uses.

    `frames`, `messages`, `payload` (bytes of data frames), `pings`, `pongs` count what came, but not the pongs to our
    own pings. `close_code` is that of the close frame that came, 1005 if it had none. `broken` says why there is the
    news BROKEN, `wrong` in words. `awaited` is the payload of the pong that is to be swallowed. `busy` says that the
    next byte does not simply begin a message: the quick way (`singles`, `payload`) is not for it. `lenient`: what
    breaks the protocol goes on as it is, unseen from there on. `left` are the bytes to come of the frame under way,
    `longest` what a frame may hold.
    """

    __slots__ = (
        "_allowance",
        "_fragmented",
        "_held",
        "_message",
        "_others",
        "_slow",
        "_whole_messages",
        "awaited",
        "broken",
        "busy",
        "close_code",
        "kinds",
        "left",
        "lenient",
        "limits",
        "longest",
        "mode",
        "news",
        "payload",
        "pings",
        "pongs",
        "side",
        "singles",
        "whole",
        "wrong",
    )

    def __init__(self, side: Side, rsv: int = 0, limits: Limits = NO_LIMITS, *, lenient: bool = False) -> None:
        self.side = side
        self.lenient = lenient
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
        self._slow = bool(limits.rate or 0 < limits.frame < SHORT or 0 < limits.message < SHORT)
        self.longest = min(limits.frame or FOREVER, limits.message or FOREVER)
        self.busy = self._slow

    @property
    def frames(self) -> int:
        return self.singles + self._others

    @property
    def messages(self) -> int:
        """Those that have come to their end."""
        return self.singles + self._whole_messages

    @property
    def at_boundary(self) -> bool:
        """Whether what was passed on so far ended with a frame."""
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
        """The second quickest way, where the first byte is that of an unfragmented message and it is not `busy`: takes
        in a long frame that begins `data` and does not end before it. False: nothing has been done."""
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
        """What may be passed on: `data` itself, nearly always. `now` (seconds) is for the rate."""
        mode = self.mode
        left = self.left
        size = len(data)
        if mode == PASS and left >= size:
            self.left = left - size
            self.payload += size
            if left == size:
                self.settle()
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
        spans: list[tuple[int, int]] | None = None
        start = 0
        end = at if mode == FINISH else size if mode == PASS else 0
        if mode == FINISH and not self.left:
            self.mode = DROP
            self.news |= FINISHED
        while at < size:
            if not self._fragmented and not self._slow:
                at = self._run(data, at, size)
                if at >= size:
                    break
            total, passes = self._frame(data, at, size, now)
            if not total:
                # It is not all there, or it is wrong.
                if self.mode == BLIND:
                    at = size
                elif self.broken is None:
                    self._held = bytes(data[at:size])
                break
            if not passes:
                if start < at:
                    spans = [*(spans or ()), (start, at)]
                start = at + total
                spans = spans or []
            at += total
            if self.mode == OVER:
                break
        self.settle()
        stop = min(at, size, end)
        if spans is None:
            if stop == size and fresh:
                return data
            return data[:stop]
        if start < stop:
            spans.append((start, stop))
        return b"".join(bytes(data[begin : min(until, end)]) for begin, until in spans if begin < end)

    def _run(self, data: bytes | bytearray | memoryview, at: int, size: int) -> int:
        """Step over short, whole, unfragmented data frames: where the first other one begins."""
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

    def _frame(self, data: bytes | bytearray | memoryview, at: int, size: int, now: float) -> tuple[int, bool]:
        """Take in the frame that begins at `at`: how many bytes to step over, and whether they are passed on.

        (0, False) where its header is not all there, or wrong (`broken`).
        """
        have = size - at
        if have < 2:
            return 0, False
        first, second = data[at], data[at + 1]
        kind = self.kinds[first]
        wrong = self._wrong(kind, first, second)
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
        if self.side:
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
    ) -> tuple[int, bool]:
        total = header + length
        if have < total:
            return 0, False
        opcode = data[at] & 0x0F
        if opcode == PONG:
            if self.awaited is not None and self._content(data, at, header, length) == self.awaited:
                self.awaited = None
                self.news |= ANSWERED
                return total, False
            self.pongs += 1
        elif opcode == CLOSE:
            code = int.from_bytes(self._content(data, at, header, length)[:2], "big") if length else NO_CODE
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
        return total, True

    def _content(self, data: bytes | bytearray | memoryview, at: int, header: int, length: int) -> bytes:
        content = bytes(data[at + header : at + header + length])
        if not self.side:
            return content
        mask = data[at + header - 4 : at + header]
        return bytes(byte ^ mask[index & 3] for index, byte in enumerate(content))

    def _wrong(self, kind: int, first: int, second: int) -> str | None:
        """What the first two bytes of a frame break."""
        if not kind:
            opcode = first & 0x0F
            if first & 0x70:
                return "a reserved bit is set"
            if opcode in (CLOSE, PING, PONG):
                return "a control frame is fragmented"
            return f"the opcode is {opcode:#x}"
        if second & 0x80 != self.side:
            return "a client's frame is not masked" if self.side else "a server's frame is masked"
        if kind == CONTROL:
            if second & 0x7F > SHORT:
                return "a control frame is longer than 125 bytes"
            if first & 0x0F == CLOSE and second & 0x7F == 1:
                return "a close frame has half a code"
            return None
        if kind in (SINGLE, FIRST):
            return "a message begins inside another" if self._fragmented else None
        return None if self._fragmented else "a continuation continues nothing"

    def _exceeds(self, kind: int, length: int, now: float) -> bool:
        """Whether a data frame breaks a limit."""
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
        """The generic cell rate algorithm: `_allowance` is when the next message would be due at an even pace."""
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

    def settle(self) -> None:
        """Works out `busy`, after `left` has come to its end."""
        self.busy = self._slow or self.mode != PASS or bool(self.left or self._held or self._fragmented)

    # -- to another process

    def state(self) -> dict[str, int | float | str | None]:
        """What has come of it, as plain values (bytes as latin-1 text), for `restore`."""
        told = {name: getattr(self, name) for name in _STATE}
        return {name: value.decode("latin-1") if isinstance(value, bytes) else value for name, value in told.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where another stopped, which was made with the same side, bits and limits."""
        for name in _STATE:
            value = state[name]
            setattr(self, name, value.encode("latin-1") if isinstance(value, str) else value)
        self.settle()


_STATE = (
    "mode",
    "singles",
    "_others",
    "_whole_messages",
    "payload",
    "pings",
    "pongs",
    "close_code",
    "awaited",
    "left",
    "_held",
    "_fragmented",
    "_message",
    "_allowance",
)
