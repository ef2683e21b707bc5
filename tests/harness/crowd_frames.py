"""WebSocket frames as the crowd and its echo servers need them: quick for small ones, right for all (RFC 6455, 5.2)."""

import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY = b"\x37\xfa\x21\x3d"
ABNORMAL, NO_CODE = 1006, 1005

HANDSHAKE_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE_ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def masked(payload: bytes, opcode: int = BINARY) -> bytes:
    """A frame from a client."""
    return _head(opcode, len(payload), 0x80) + KEY + unmask(payload, KEY)


def plain(payload: bytes, opcode: int = BINARY) -> bytes:
    """A frame from a server."""
    return _head(opcode, len(payload), 0) + payload


def _head(opcode: int, size: int, bit: int) -> bytes:
    if size < 126:
        return bytes((0x80 | opcode, bit | size))
    if size < 65536:
        return struct.pack("!BBH", 0x80 | opcode, bit | 126, size)
    return struct.pack("!BBQ", 0x80 | opcode, bit | 127, size)


def unmask(payload: bytes, key: bytes) -> bytes:
    """The payload with its mask put on or taken off."""
    size = len(payload)
    long = key * (size // 4 + 1)
    return (int.from_bytes(payload, "little") ^ int.from_bytes(long[:size], "little")).to_bytes(size, "little")


class Frames:
    """Takes frames out of a stream. `rest` is what has not made a whole one yet; `unmasked` how many had no mask."""

    __slots__ = ("rest", "unmasked")

    def __init__(self) -> None:
        self.rest = b""
        self.unmasked = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Opcode (with the bits above it where one is set that the crowd never sends) and payload of whole frames."""
        if self.rest:
            data = self.rest + data
        at, end = 0, len(data)
        found = []
        while end - at >= 2:
            first, second = data[at], data[at + 1]
            size, begin = second & 0x7F, at + 2
            if size == 126:
                if end < at + 4:
                    break
                size, begin = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                if end < at + 10:
                    break
                size, begin = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            key = b""
            if second & 0x80:
                key = data[begin : begin + 4]
                begin += 4
            else:
                self.unmasked += 1
            if end < begin + size:
                if not key:
                    self.unmasked -= 1
                break
            payload = data[begin : begin + size]
            found.append((first & 0x7F, unmask(payload, key) if key else payload))
            at = begin + size
        self.rest = data[at:]
        return found


def close_code(payload: bytes) -> int:
    """What a close frame says."""
    return int.from_bytes(payload[:2], "big") if len(payload) >= 2 else NO_CODE
