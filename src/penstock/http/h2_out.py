"""What is sent on an HTTP/2 connection: frames onto a buffer, windows kept."""

from __future__ import annotations

from struct import Struct

from h2.config import H2Configuration
from h2.connection import ConnectionInputs, H2Connection
from h2.errors import ErrorCodes
from h2.events import StreamReset
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from h2.stream import H2Stream, StreamInputs
from hpack import Encoder

from penstock.http.h2_decoder import Decoder
from penstock.http.h2_fields import NO_TABLE
from penstock.http.h2_parts import (
    CONTINUATION,
    DATA,
    END_HEADERS,
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

_SERVER = H2Configuration(
    client_side=False,
    header_encoding=None,
    validate_inbound_headers=False,
    normalize_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)
_NOBODY = Encoder()
"""What `h2` tells of the peer's table, of which nothing is made (`h2_fields`): one for all connections."""

_CLIENT = H2Configuration(
    client_side=True,
    header_encoding=None,
    validate_inbound_headers=False,
    normalize_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


class Outgoing(H2Connection):
    """The streams of a connection and what is sent on them. It is one class with `Wire`, which reads."""

    MAX_CLOSED_STREAMS = 128

    def __init__(self, settings: dict[SettingCodes, int], *, client_side: bool) -> None:
        super().__init__(_CLIENT if client_side else _SERVER)
        self.decoder = Decoder()  # type: ignore[assignment]
        self.encoder = _NOBODY
        self.local_settings = Settings(client=client_side, initial_values=settings)
        self.first_window = self.local_settings.initial_window_size
        self.granted = 65535
        self.leaving = False
        self.table_changed = False
        """The peer has said how large our table may be: that there is none has to be said with the next head."""

    # -- streams

    @property
    def open_inbound_streams(self) -> int:
        """Nothing: how many there may be is counted by who serves them, and those that are too many are refused."""
        return -1

    def _begin_new_stream(self, stream_id: int, allowed_ids: int) -> HalfStream:
        highest = (
            self.highest_outbound_stream_id
            if self._stream_id_is_outbound(stream_id)
            else self.highest_inbound_stream_id
        )
        if stream_id <= highest or stream_id % 2 != int(allowed_ids):
            raise ProtocolError(f"incorrect identifier {stream_id} of a stream, the last was {highest}")
        stream = HalfStream(stream_id, self.config, 0, self.remote_settings.initial_window_size)
        stream.granted = self.first_window
        stream.max_outbound_frame_size = self.max_outbound_frame_size
        self.streams[stream_id] = stream
        if self._stream_id_is_outbound(stream_id):
            self.highest_outbound_stream_id = stream_id
        else:
            self.highest_inbound_stream_id = stream_id
        return stream

    def open(self) -> HalfStream:
        """A stream of ours, as a client: its HEADERS are the next to be sent."""
        self.state_machine.process_input(ConnectionInputs.SEND_HEADERS)
        sid = self.highest_outbound_stream_id + 2 if self.highest_outbound_stream_id else 1
        stream = self._begin_new_stream(sid, sid % 2)
        stream.state_machine.process_input(StreamInputs.SEND_HEADERS)
        return stream

    def forget(self, stream: HalfStream) -> None:
        """The stream is over for both sides. What was on its way for it is dropped as it comes."""
        self.streams.pop(stream.stream_id, None)

    # -- out

    def take(self) -> bytes:
        """What is to be sent; it is the caller's from then on."""
        data = bytes(self._data_to_send)
        self._data_to_send.clear()
        return data

    @property
    def waiting(self) -> int:
        """Bytes that are to be sent."""
        return len(self._data_to_send)

    def announce(self, codes: tuple[SettingCodes, ...]) -> None:
        """Say which settings hold here, and that only streams bound what may come."""
        self.state_machine.process_input(ConnectionInputs.SEND_SETTINGS)
        body = b"".join(_setting.pack(code, self.local_settings[code]) for code in codes)
        preface = PREFACE if self.config.client_side else b""
        self._data_to_send += preface + HEAD.pack(0, len(body), SETTINGS, 0, 0) + body
        self.open_connection_window()

    def open_connection_window(self) -> None:
        """Let the peer send as much as its streams' windows allow."""
        self._data_to_send += _window.pack(0, 4, WINDOW_UPDATE, 0, 0, MAX_WINDOW - self.granted)
        self.granted = MAX_WINDOW

    def grant(self, stream: HalfStream, more: int) -> None:
        """Let the peer send so many bytes more on a stream."""
        stream.granted += more
        self._data_to_send += _window.pack(0, 4, WINDOW_UPDATE, 0, stream.stream_id, more)

    def room(self, stream: HalfStream) -> int:
        """How many bytes the next DATA frame may hold; not more than 0 while a window is closed."""
        return min(
            self.outbound_flow_control_window, stream.outbound_flow_control_window, self.max_outbound_frame_size
        )

    def data(self, stream: HalfStream, data: bytes | bytearray | memoryview, most: int, *, ended: bool) -> int:
        """DATA frames of at most `most` bytes each; there must be room for them. Gives the bytes on the wire."""
        length, sid = len(data), stream.stream_id
        most = min(most, self.max_outbound_frame_size)
        out = self._data_to_send
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
        stream.outbound_flow_control_window -= length
        self.outbound_flow_control_window -= length
        if ended:
            stream.state_machine.process_input(StreamInputs.SEND_END_STREAM)
        return count

    def headers(self, stream: HalfStream, block: bytes, *, ended: bool) -> int:
        """HEADERS, and CONTINUATION where one frame does not hold the block. Gives the bytes on the wire."""
        most = self.max_outbound_frame_size
        sid = stream.stream_id
        flags = 1 if ended else 0
        if self.table_changed:
            self.table_changed = False
            block = NO_TABLE + block
        size = len(block)
        kind = HEADERS
        at = 0
        count = 0
        while True:
            piece = block[at : at + most]
            at += len(piece)
            if at >= size:
                flags |= END_HEADERS
            self._data_to_send += HEAD.pack(len(piece) >> 8, len(piece) & 0xFF, kind, flags, sid)
            self._data_to_send += piece
            count += 9 + len(piece)
            if at >= size:
                break
            kind, flags = CONTINUATION, 0
        if ended:
            stream.state_machine.process_input(StreamInputs.SEND_END_STREAM)
        return count

    def reset(self, stream: H2Stream, code: int) -> StreamReset:
        """End a stream at once. Gives the event that says so."""
        if not stream.closed:
            stream.state_machine.process_input(StreamInputs.SEND_RST_STREAM)
            self._data_to_send += HEAD.pack(0, 4, RST_STREAM, 0, stream.stream_id) + code.to_bytes(4, "big")
        return StreamReset(stream_id=stream.stream_id, error_code=ErrorCodes(code), remote_reset=False)

    def goaway(self, code: int = 0) -> None:
        """Take no more streams; those that are open come to their end, where `code` is 0."""
        self.leaving = True
        last = self.highest_inbound_stream_id
        self._data_to_send += HEAD.pack(0, 8, GOAWAY, 0, 0) + last.to_bytes(4, "big") + int(code).to_bytes(4, "big")
