"""What the first two bytes of a frame may break (RFC 6455 section 5)."""

from __future__ import annotations

from penstock.websocket.frames import CLOSE, CONTROL, FIRST, PING, PONG, SINGLE, FrameSender

SHORT = 125
"""Longest payload of a control frame, and of a frame with the shortest header."""


def breach(kind: int, first: int, second: int, side: FrameSender, *, inside: bool) -> str | None:
    """Say what is wrong with a frame from `side`, of that kind (`frames.kinds_for`); None: nothing is. `inside`: a
    message has begun and has not ended.

    That a client has not masked a control frame is let pass (`direction.py` says why).
    """
    if not kind:
        opcode = first & 0x0F
        if first & 0x70:
            return "a reserved bit is set"
        if opcode in (CLOSE, PING, PONG):
            return "a control frame is fragmented"
        return f"the opcode is {opcode:#x}"
    if second & 0x80 != side and not (side and kind == CONTROL):
        return "a client's frame is not masked" if side else "a server's frame is masked"
    if kind == CONTROL:
        if second & 0x7F > SHORT:
            return "a control frame is longer than 125 bytes"
        if first & 0x0F == CLOSE and second & 0x7F == 1:
            return "a close frame has half a code"
        return None
    if kind in (SINGLE, FIRST):
        return "a message begins inside another" if inside else None
    return None if inside else "a continuation continues nothing"
