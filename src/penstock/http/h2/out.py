"""What is sent on an HTTP/2 connection: frames onto a buffer, windows kept."""

from __future__ import annotations

from struct import Struct

from penstock.http.h2.codes import SettingCodes
from penstock.http.h2.decoder import Decoder
from penstock.http.h2.events import StreamReset
from penstock.http.h2.fields import NO_TABLE
from penstock.http.h2.parts import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME,
    GOAWAY,
    HEAD,
    HEADERS,
    MAX_WINDOW,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    HalfStream,
)

_window = Struct(">HBBBLL")
_setting = Struct(">HL")
_FIRST_WINDOW = 65535
_SMALLEST_FRAME = 16384


class WireOut:
    """The streams of a connection and what is sent on them. It is one class with `Wire`, which reads.

    `out` gathers what is to be sent. `granted` bytes may still come, `may_send` may still be sent, of all streams
    together. `peer_...` is what the peer's settings say.
    """

    __slots__ = (
        "client_side",
        "decoder",
        "first_window",
        "granted",
        "highest_in",
        "highest_out",
        "leaving",
        "may_send",
        "out",
        "peer_extended",
        "peer_frame",
        "peer_streams",
        "peer_window",
        "settings",
        "streams",
        "table_changed",
    )

    def __init__(self, settings: dict[SettingCodes, int], *, client_side: bool) -> None:
        self.client_side = client_side
        self.decoder = Decoder()
        self.settings = settings
        self.first_window = settings.get(SettingCodes.INITIAL_WINDOW_SIZE, _FIRST_WINDOW)
        self.streams: dict[int, HalfStream] = {}
        self.highest_in = 0
        self.highest_out = 0
        self.out = bytearray()
        self.granted = _FIRST_WINDOW
        self.may_send = _FIRST_WINDOW
        self.peer_window = _FIRST_WINDOW
        self.peer_frame = _SMALLEST_FRAME
        self.peer_streams = 1 << 32
        self.peer_extended = False
        self.leaving = False
        self.table_changed = False
        """The peer has said how large our table may be: that there is none has to be said with the next head."""

    # -- streams

    def open(self) -> HalfStream:
        """Open a stream of ours, as a client: its HEADERS are the next to be sent."""
        sid = self.highest_out + 2 if self.highest_out else 1
        self.highest_out = sid
        stream = self.streams[sid] = HalfStream(sid, self.first_window, self.peer_window)
        return stream

    def forget(self, stream: HalfStream) -> None:
        """Forget a stream that is over for both sides. What was on its way for it is dropped as it comes."""
        stream.taker = None
        self.streams.pop(stream.stream_id, None)

    # -- out

    def take(self) -> bytearray:
        """Take what is to be sent; it is the caller's from then on."""
        data, self.out = self.out, bytearray()
        return data

    @property
    def waiting(self) -> int:
        """Count the bytes that are to be sent."""
        return len(self.out)

    def announce(self) -> None:
        """Say which settings hold here, and that only streams bound what may come."""
        body = b"".join([_setting.pack(code, value) for code, value in self.settings.items()])
        preface = PREFACE if self.client_side else b""
        self.out += preface + HEAD.pack(0, len(body), SETTINGS, 0, 0) + body
        self.open_connection_window()

    def open_connection_window(self) -> None:
        """Let the peer send as much as its streams' windows allow."""
        self.out += _window.pack(0, 4, WINDOW_UPDATE, 0, 0, MAX_WINDOW - self.granted)
        self.granted = MAX_WINDOW

    def grant(self, stream: HalfStream, more: int) -> None:
        """Let the peer send so many bytes more on a stream."""
        stream.granted += more
        self.out += _window.pack(0, 4, WINDOW_UPDATE, 0, stream.stream_id, more)

    def room(self, stream: HalfStream) -> int:
        """Return how many bytes the next DATA frame may hold; not more than 0 while a window is closed."""
        return min(self.may_send, stream.may_send, self.peer_frame)

    def data(self, stream: HalfStream, data: bytes | bytearray | memoryview, most: int, *, ended: bool) -> int:
        """Write DATA frames of at most `most` bytes each; there must be room for them. Returns the bytes on the wire.
        """
        length, sid = len(data), stream.stream_id
        most = min(most, self.peer_frame)
        out = self.out
        count = length + 9
        if length <= most:
            out += HEAD.pack(length >> 8, length & 0xFF, DATA, 1 if ended else 0, sid)
            out += data
        else:
            view = memoryview(data)
            for at in range(0, length, most):
                piece = view[at : at + most]
                size = len(piece)
                out += HEAD.pack(size >> 8, size & 0xFF, DATA, 1 if ended and at + size == length else 0, sid)
                out += piece
            count = length + 9 * -(-length // most)
        stream.may_send -= length
        self.may_send -= length
        if ended:
            stream.sends = False
        return count

    def headers(self, stream: HalfStream, block: bytes, *, ended: bool) -> int:
        """Write HEADERS, and CONTINUATION if one frame does not hold the block. Returns the bytes on the wire."""
        sid = stream.stream_id
        flags = 1 if ended else 0
        if self.table_changed:
            self.table_changed = False
            block = NO_TABLE + block
        size, most = len(block), self.peer_frame
        if ended:
            stream.sends = False
        if size <= most:
            self.out += HEAD.pack(size >> 8, size & 0xFF, HEADERS, flags | END_HEADERS, sid) + block
            return size + 9
        kind = HEADERS
        for at in range(0, size, most):
            piece = block[at : at + most]
            if at + most >= size:
                flags |= END_HEADERS
            self.out += HEAD.pack(len(piece) >> 8, len(piece) & 0xFF, kind, flags, sid) + piece
            kind, flags = CONTINUATION, 0
        return size + 9 * -(-size // most)

    def answer(self, stream: HalfStream, block: bytes, body: bytes) -> int:
        """Write a head and all that follows it, in a frame each that must hold it. Returns the bytes on the wire."""
        if self.table_changed:
            self.table_changed = False
            block = NO_TABLE + block
        sid, length, size = stream.stream_id, len(block), len(body)
        stream.sends = False
        if not size:
            self.out += FRAME.pack(length << 8 | HEADERS, END_HEADERS | END_STREAM, sid) + block
            return length + 9
        stream.may_send -= size
        self.may_send -= size
        self.out += b"%b%b%b%b" % (
            FRAME.pack(length << 8 | HEADERS, END_HEADERS, sid),
            block,
            FRAME.pack(size << 8, END_STREAM, sid),
            body,
        )
        return length + size + 18

    def reset(self, stream: HalfStream, code: int) -> StreamReset:
        """End a stream at once. Returns the event that says so."""
        if not stream.closed:
            stream.break_off()
            self.out += HEAD.pack(0, 4, RST_STREAM, 0, stream.stream_id) + code.to_bytes(4, "big")
        return StreamReset(stream.stream_id, code, remote_reset=False)

    def goaway(self, code: int = 0) -> None:
        """Take no more streams; those that are open come to their end, where `code` is 0."""
        self.leaving = True
        self.out += HEAD.pack(0, 8, GOAWAY, 0, 0) + self.highest_in.to_bytes(4, "big") + code.to_bytes(4, "big")
