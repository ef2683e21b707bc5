r"""WebSocket frames as words, and back.

frame text "hello"              a whole message
frame text part "hel"           FIN is not set
frame continuation "lo"
frame close 1001 "going"        `frame close` alone has no payload
frame ping rsv1 "x"
frame text bare "hello"         without the mask that a client puts on; `masked`: with one, from a server
frame 0x3 ""                    any opcode
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from differential.spelling import spelled
from harness.crowd_frames import unmask

OPCODES = {"continuation": 0, "text": 1, "binary": 2, "close": 8, "ping": 9, "pong": 10}
NAMES = {number: name for name, number in OPCODES.items()}
KEY = b"\x37\xfa\x21\x3d"

_FRAME = re.compile(
    r"frame (?P<opcode>[a-z]+|0x[0-9a-f])(?P<flags>(?: (?:part|rsv[123]|bare|masked))*)"
    r"(?: (?P<code>[0-9]{1,5}))?(?: \"(?P<payload>.*)\")?"
)


@dataclass(frozen=True, slots=True)
class Frame:
    """`first` is the first byte, `masked` None where it is as it should be. `payload` is spelled; a close frame has its
    code before it."""

    first: int
    masked: bool | None
    code: bytes
    payload: str

    def bytes(self, *, by_client: bool, spell: Callable[[str], bytes]) -> bytes:
        """What goes over the wire."""
        payload = self.code + spell(self.payload)
        masked = by_client if self.masked is None else self.masked
        size, bit = len(payload), 0x80 if masked else 0
        if size < 126:
            head = bytes((self.first, bit | size))
        elif size < 65536:
            head = struct.pack("!BBH", self.first, bit | 126, size)
        else:
            head = struct.pack("!BBQ", self.first, bit | 127, size)
        return head + (KEY + unmask(payload, KEY) if masked else payload)


@dataclass(frozen=True, slots=True)
class Heard:
    """A frame that has come, `size` bytes of the stream."""

    first: int
    masked: bool
    payload: bytes
    size: int

    def __str__(self) -> str:
        name = NAMES.get(self.first & 15, f"{self.first & 15:#x}")
        flags = "" if self.first & 0x80 else " part"
        flags += "".join(f" rsv{n}" for n, bit in ((1, 0x40), (2, 0x20), (3, 0x10)) if self.first & bit)
        payload, code = self.payload, ""
        if self.first & 15 == OPCODES["close"] and len(payload) >= 2:
            code, payload = f" {int.from_bytes(payload[:2], 'big')}", payload[2:]
        return f'frame {name}{flags}{code} "{spelled(payload, 200)}" ({"masked" if self.masked else "not masked"})'


def frame(text: str) -> Frame:
    """Read the words of a frame."""
    found = _FRAME.fullmatch(text)
    if found is None:
        raise ValueError(f"this is no frame: {text}")
    name, flags = found["opcode"], found["flags"].split()
    opcode = int(name, 16) if name.startswith("0x") else OPCODES[name]
    first = opcode | (0 if "part" in flags else 0x80)
    for number, bit in (("rsv1", 0x40), ("rsv2", 0x20), ("rsv3", 0x10)):
        first |= bit if number in flags else 0
    masked = True if "masked" in flags else False if "bare" in flags else None
    code = struct.pack("!H", int(found["code"])) if found["code"] else b""
    return Frame(first, masked, code, found["payload"] or "")


def heard(data: bytes) -> Heard | None:
    """Take the first frame of a stream; None while it is not whole."""
    if len(data) < 2:
        return None
    size, at = data[1] & 127, 2
    if size > 125:
        width = 2 if size == 126 else 8
        if len(data) < 2 + width:
            return None
        size, at = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
    masked = bool(data[1] & 0x80)
    key = data[at : at + 4] if masked else b""
    at += len(key)
    if len(data) < at + size:
        return None
    payload = bytes(data[at : at + size])
    return Heard(data[0], masked, unmask(payload, key) if masked else payload, at + size)
