"""What of a client's messages is kept so that another backend can go on, and what goes to whom meanwhile. Sans-IO.

    joined, calling      passing(data)      bytes of the client go to the backend now
                         untaken_is(n)      all but the last n of them have been taken
    leaving, held        hold(data)         bytes of the client are kept; returned is what the one that is left gets
    the backend is lost  lose(n)            whether another may go on; the last n bytes were not taken
    another is there     join()             returned is what it gets first

Kept is what began with a message that has not been taken whole: nothing, nearly always. The bound is for that, and for
all that comes while nobody takes it. A message that is longer than the bound is not kept, and can not be sent again.
"""

from __future__ import annotations

from penstock.websocket.frames import BINARY, CLOSE, TEXT, pong_frame
from penstock.websocket.redial.states import (
    CONNECTED,
    END,
    HELD,
    JOINED,
    LOST,
    OVER,
    REDIAL,
    STAYED,
    TORN,
    RedialEvent,
    RedialState,
)
from penstock.websocket.redial.way import BackendWay, ClientWay


class Bridge:
    """`up` is what comes from the client, `down` what comes from the backend, `bound` how many bytes may be kept.

    `holding`: what the client says is kept. `complete`: all of the message that is under way is kept, if one is.
    """

    __slots__ = ("_at", "_begin", "_kept", "_untaken", "bound", "complete", "down", "holding", "state", "up")

    def __init__(self, up: ClientWay, down: BackendWay, bound: int) -> None:
        self.up = up
        self.down = down
        self.bound = bound
        self.state = JOINED
        self.holding = False
        self.complete = True
        self._kept: bytearray | None = None
        self._untaken = 0
        self._at = 0
        """Where the next frame's header is in what is kept; beyond its end, if that is still to come."""
        self._begin = 0
        """Where the last message in it began."""

    @property
    def size(self) -> int:
        """Count the bytes that are kept."""
        return 0 if self._kept is None else len(self._kept)

    @property
    def full(self) -> bool:
        """Return whether nothing more is to be read from the client for now."""
        return self.holding and self.size >= self.bound

    @property
    def rested(self) -> bool:
        """Return whether the client is between two messages, and the backend has taken all of them."""
        return not self._untaken and self.up.between

    def happened(self, event: RedialEvent) -> RedialState:
        """Go on as the table says. Raises `KeyError` for what can not happen now."""
        self.state = state = REDIAL[self.state][event]
        return state

    def begin(self, untaken: int) -> None:
        """Begin where a conversation stands, with so many bytes that the backend has not taken. Of a message that is
        under way nobody here has the beginning: it can not be sent again."""
        self._untaken = untaken
        self.complete = not untaken and self.up.between

    # -- while a backend takes what the client says

    def passing(self, data: bytes | bytearray | memoryview) -> None:
        """Note that these bytes are to go to the backend: whole frames, and perhaps the beginning of one, or its rest.

        `untaken_is` says what has become of them.
        """
        self._untaken += len(data)
        if self.complete:
            if self._kept is None:
                self._kept = bytearray()
                self._at = self._begin = 0
            self._kept += data

    def untaken_is(self, count: int) -> None:
        """Note that all but the last so many bytes have been taken: what need not be kept any more is let go of."""
        self._untaken = count
        if count:
            return
        if self.up.between:
            self._kept = None
            self.complete = True
        elif self._kept is not None:
            self._walk()
            if self._begin:
                del self._kept[: self._begin]
                self._at -= self._begin
                self._begin = 0
            if len(self._kept) > self.bound:
                self._kept = None
                self.complete = False

    def refused(self, untaken: int) -> None:
        """Note that the backend takes no more, with so many bytes waiting; 0: those are known already."""
        if untaken and self._untaken:
            self._untaken = untaken

    # -- while nobody does

    def hold_back(self) -> None:
        """Keep what the client says from now on; it is `rested`."""
        self.holding = True
        self._kept = bytearray()
        self._at = self._begin = 0

    def hold(self, data: bytes | bytearray | memoryview) -> bytes:
        """Keep what of this is data or a goodbye. Return what is for a backend that is being left: pings and pongs."""
        kept = self._kept
        assert kept is not None
        self._walk()
        out = b""
        at = min(max(0, self._at - len(kept)), len(data))
        kept += data[:at]
        while at < len(data):
            opcode = data[at] & 0x0F
            header, length = measure(data, at)
            total = header + length
            if not opcode & 0x08 or opcode == CLOSE:
                kept += data[at : at + total]
            elif self.state is not HELD:
                out += bytes(data[at : at + total])
            at += total
        self._walk()
        return out

    def pong(self) -> bytes:
        """Return the pong for the client's last ping, if nobody has answered it; b"" if there is nothing to say."""
        owed, self.up.owed = self.up.owed, None
        return b"" if owed is None else pong_frame(owed)

    # -- a loss, and what comes after it

    def lose(self, untaken: int) -> bool:
        """Note that the backend is gone, with the last so many bytes waiting. Return whether another may go on.

        Afterwards what the client says is kept, until `join`. 0 where nothing waits, or it has been told already.
        """
        self.refused(untaken)
        if not self.down.between or not (self.complete or self.holding):
            self.happened(TORN)
            return False
        if not self.holding:
            self._keep_rest()
            self.holding = True
        self.happened(LOST)
        return True

    def join(self) -> bytes:
        """Let another backend have what the client says. Return what it gets first, which is `passing` now."""
        if self.state is HELD:
            self.happened(CONNECTED)
        self.down.begin_anew()
        self.holding = False
        kept = bytes(self._kept or b"")
        self._untaken = len(kept)
        return kept

    def stay(self) -> bytes:
        """Let the backend that was to be left have what the client says. Return what it gets first."""
        self.happened(STAYED)
        if not self.holding:
            return b""
        self.holding = False
        kept = bytes(self._kept or b"")
        self._untaken = len(kept)
        return kept

    def give_up(self) -> None:
        """Give up redialling, and keep nothing."""
        if self.state is not OVER:
            self.happened(END)
        self._kept = None
        self.complete = self.holding = False

    # -- inside

    def _keep_rest(self) -> None:
        """Keep what begins with the first message that was not taken whole, and nothing before it."""
        kept = self._kept
        if kept is None:
            kept = self._kept = bytearray()
        del kept[: message_at(kept, len(kept) - self._untaken)]
        self._at = self._begin = 0
        self._walk()

    def _walk(self) -> None:
        """Go over the frames that have been added to what is kept."""
        kept = self._kept
        assert kept is not None
        at, size = self._at, len(kept)
        while at < size:
            if kept[at] & 0x0F in (TEXT, BINARY):
                self._begin = at
            header, length = measure(kept, at)
            at += header + length
        self._at = at


def measure(data: bytes | bytearray | memoryview, at: int) -> tuple[int, int]:
    """Measure the frame that begins at `at`, with its whole header: the bytes of that, and of its payload."""
    second = data[at + 1]
    length = second & 0x7F
    header = 2
    if length == 126:
        header, length = 4, int.from_bytes(data[at + 2 : at + 4], "big")
    elif length == 127:
        header, length = 10, int.from_bytes(data[at + 2 : at + 10], "big")
    return header + (4 if second & 0x80 else 0), length


def message_at(data: bytes | bytearray, place: int) -> int:
    """Return where the message begins that was not over at `place`, in what begins with a message; `place` itself where
    one was. A frame of control between two messages counts as one."""
    at = start = 0
    inside = False
    while at < place:
        first = data[at]
        header, length = measure(data, at)
        if not inside:
            start = at
        if not first & 0x08:
            inside = not first & 0x80
        at += header + length
    return start if inside or at > place else at
