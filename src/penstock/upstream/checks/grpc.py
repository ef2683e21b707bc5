"""What gRPC servers are asked, and what they answer: the method `Check` of its health checking protocol, over HTTP/2.

Its two messages are a name and a number, so that nothing is needed to write and to read them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.http.errors import BadResponse, excerpt
from penstock.http.h2.response_head import response_head
from penstock.http.response import ResponseHead
from penstock.net.fiber import spawn
from penstock.net.h2.client import ClientLane, ClientSession
from penstock.net.h2.session import tell_nobody

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.net.stream import Stream

PATH = "/grpc.health.v1.Health/Check"
CONTENT_TYPE = "application/grpc"
HEAD = 65536
MESSAGE = 65536
"""Bytes of an answer that are looked at; a sound one has seven."""

_STATES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
_STATE_FIELD = 1
_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5
"""Kinds of fields of a message."""


class BadHealth(Exception):
    """Raised where a server answers, and not as it should; the text says how."""


def health_request(service: str) -> bytes:
    """Write the message that asks for a service, or for the server as a whole where it is ""."""
    name = service.encode("latin-1")
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def health_state(data: bytes) -> str:
    """Read the message of an answer: the name of the state in it. Raises `BadHealth`."""
    if len(data) < 5 or int.from_bytes(data[1:5], "big") != len(data) - 5:
        raise BadHealth("the message is cut off" if len(data) < MESSAGE else "the message is too long")
    if data[0]:
        raise BadHealth("the message is compressed")
    state, at = 0, 5
    while at < len(data):
        key, at = _read_varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _read_varint(data, at)
            if key >> 3 == _STATE_FIELD:
                state = value
        elif kind == _LENGTH:
            size, at = _read_varint(data, at)
            at += size
        elif kind in (_EIGHT, _FOUR):
            at += 8 if kind == _EIGHT else 4
        else:
            raise BadHealth("the message is broken")
    if at > len(data):
        raise BadHealth("the message is broken")
    return _STATES[state] if state < len(_STATES) else str(state)


async def ask_health(stream: Stream, fields: bytes, service: str, wanted: int, left: Callable[[], float]) -> None:
    """Ask for a service on a fresh connection, which is closed then. `fields` are the head as HPACK writes it. SERVING
    passes, and so does the status of gRPC that is `wanted`, if it is not 0. Raises `BadHealth`, `BadResponse`,
    `NetError`."""
    session = ClientSession(stream, head_size=HEAD, send_timeout=left(), changed=tell_nobody, idle=tell_nobody)
    lane = session.open()
    spawn(session.run())
    try:
        lane.head(fields, flush=False)
        lane.send_now(health_request(service), ended=True)
        head, status, message = await _answer(lane, left)
    finally:
        lane.close()
        session.hang_up()
    if head.status != 200:
        raise BadHealth(f"the status is {head.status}")
    if wanted and status == str(wanted):
        return
    if status != "0":
        raise BadHealth(f'the status of gRPC is "{excerpt(status)}"' if status else "there is no status of gRPC")
    state = health_state(message)
    if state != "SERVING":
        raise BadHealth(f"it says {state}")


async def _answer(lane: ClientLane, left: Callable[[], float]) -> tuple[ResponseHead, str, bytes]:
    """Read an answer: its head, its status, its message."""
    head = None
    while head is None:
        if lane.heads:
            pairs, _ = lane.heads.popleft()
            made = response_head(pairs, ResponseHead, [])
            head = made if made.status >= 200 else None
        elif lane.ended or lane.inbox:
            raise BadResponse(502, "the answer has no head")
        elif lane.lost:
            raise lane.fault or lane.loss("recv")
        else:
            await lane.change(left())
    message = bytearray()
    while len(message) < MESSAGE and (data := await lane.recv(65536, left())):
        message += data
    trailers = dict(lane.trailers or ())
    status = trailers.get(b"grpc-status", b"").decode("latin-1") or head.fields.get("grpc-status", "")
    return head, status, bytes(message)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise BadHealth("the message is broken")
