"""The frames of HTTP/2 that are few: settings, pings, priorities, resets, farewells (RFC 9113, section 6)."""

from __future__ import annotations

from struct import Struct

from penstock.http.h2.codes import ErrorCodes, SettingCodes
from penstock.http.h2.events import (
    ConnectionTerminated,
    Event,
    PingReceived,
    PriorityUpdated,
    RemoteSettingsChanged,
    SettingsAcknowledged,
    StreamReset,
    UnknownFrameReceived,
)
from penstock.http.h2.heads import WireHeads
from penstock.http.h2.parts import (
    ACK,
    CONTINUATION,
    GOAWAY,
    HEAD,
    MAX_WINDOW,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    ConnectionFault,
    check_frame,
    fault,
)

_setting = Struct(">HL")
_FRAMES = range(1 << 14, 1 << 24)
"""How long a frame may be that one lets the other send."""


class WireControl(WireHeads):
    """What is said about the connection and its streams. It is one class with `Wire`."""

    __slots__ = ()

    def _control(self, kind: int, flags: int, sid: int, body: bytes) -> Event | None:
        """Read a frame that is neither a head nor DATA. Raises `ConnectionFault`."""
        if kind > CONTINUATION:
            return UnknownFrameReceived(sid)
        if kind == PUSH_PROMISE:
            raise fault("client sent PUSH_PROMISE frame")
        check_frame(kind, flags, sid, len(body))
        if kind == SETTINGS:
            return SettingsAcknowledged() if flags & ACK else self._settings(body)
        if kind == PING:
            if not flags & ACK:
                self.out += HEAD.pack(0, 8, PING, ACK, 0) + body
            return PingReceived()
        if kind == RST_STREAM:
            return self._reset_by_peer(sid, int.from_bytes(body, "big"))
        if kind == GOAWAY:
            return ConnectionTerminated(
                int.from_bytes(body[4:8], "big"), int.from_bytes(body[:4], "big") & 0x7FFFFFFF
            )
        assert kind == PRIORITY
        if int.from_bytes(body[:4], "big") & 0x7FFFFFFF == sid:
            raise fault(f"client sent PRIORITY frame for stream {sid} with incorrect dependency")
        return PriorityUpdated(sid)

    def _reset_by_peer(self, sid: int, code: int) -> Event | None:
        stream = self.streams.get(sid)
        if stream is None:
            if self._idle(sid):
                raise fault("client sent RST_STREAM frame for a stream that it has not opened")
            return None
        if stream.closed:
            return None
        stream.break_off()
        return StreamReset(sid, code, remote_reset=True)

    def _settings(self, body: bytes) -> Event:
        """Take the peer's settings up, one after the other, and say so (section 6.5.3)."""
        for code, value in _setting.iter_unpack(body):
            self._setting(code, value)
        self.out += HEAD.pack(0, 0, SETTINGS, ACK, 0)
        return RemoteSettingsChanged()

    def _setting(self, code: int, value: int) -> None:
        wrong = False
        if code == SettingCodes.HEADER_TABLE_SIZE:
            self.table_changed = True
        elif code == SettingCodes.ENABLE_PUSH:
            wrong = value > (0 if self.client_side else 1)
        elif code == SettingCodes.MAX_CONCURRENT_STREAMS:
            self.peer_streams = value
        elif code == SettingCodes.INITIAL_WINDOW_SIZE:
            self._first_windows(value)
        elif code == SettingCodes.MAX_FRAME_SIZE:
            wrong = value not in _FRAMES
            self.peer_frame = value
        elif code == SettingCodes.ENABLE_CONNECT_PROTOCOL:
            wrong = value > 1
            self.peer_extended = bool(value)
        if wrong:
            raise fault(f"client broke the protocol: setting {code} with value {value}")

    def _first_windows(self, size: int) -> None:
        """The window of new streams; those that are open change by as much (section 6.9.2)."""
        more = size - self.peer_window
        self.peer_window = size
        for stream in self.streams.values():
            stream.may_send += more
            if stream.may_send > MAX_WINDOW:
                size = stream.may_send
        if size > MAX_WINDOW:
            raise ConnectionFault(
                ErrorCodes.FLOW_CONTROL_ERROR, f"client broke the protocol: a window of {size} bytes"
            )
