"""Variables about a WebSocket tunnel, as logs want them. Where no frames are looked at they have no value."""

from __future__ import annotations

from penstock.config.variables import variable
from penstock.http.request import Request


@variable("websocket_close_code", late=True)
def close_code(request: Request) -> str | None:
    talk = request.conversation
    return None if talk is None or talk.close_code is None else str(talk.close_code)


@variable("websocket_close_from", late=True)
def close_from(request: Request) -> str | None:
    talk = request.conversation
    return None if talk is None else talk.close_from or None


@variable("websocket_end_reason", late=True)
def end_reason(request: Request) -> str | None:
    talk = request.conversation
    return None if talk is None else talk.end_reason or None


@variable("websocket_frames_in", late=True)
def frames_in(request: Request) -> str | None:
    talk = request.conversation
    return None if talk is None else str(talk.frames_in)


@variable("websocket_frames_out", late=True)
def frames_out(request: Request) -> str | None:
    talk = request.conversation
    return None if talk is None else str(talk.frames_out)


@variable("websocket_messages_in", late=True)
def messages_in(request: Request) -> str | None:
    talk = request.conversation
    return None if talk is None else str(talk.messages_in)


@variable("websocket_messages_out", late=True)
def messages_out(request: Request) -> str | None:
    talk = request.conversation
    return None if talk is None else str(talk.messages_out)


@variable("websocket_bytes_in", late=True)
def bytes_in(request: Request) -> str | None:
    talk = request.conversation
    return None if talk is None else str(talk.bytes_in)


@variable("websocket_bytes_out", late=True)
def bytes_out(request: Request) -> str | None:
    talk = request.conversation
    return None if talk is None else str(talk.bytes_out)


@variable("websocket_pings", late=True)
def pings(request: Request) -> str | None:
    talk = request.conversation
    return None if talk is None else str(talk.pings)


@variable("websocket_rtt", late=True)
def rtt(request: Request) -> str | None:
    talk = request.conversation
    return None if talk is None or talk.rtt is None else f"{talk.rtt:.3f}"


@variable("websocket_compressed", late=True)
def compressed(request: Request) -> str | None:
    talk = request.conversation
    return None if talk is None else "on" if talk.compressed else "off"


@variable("websocket_redials", late=True)
def redials(request: Request) -> str | None:
    """How many backends the WebSocket had after its first one."""
    talk = request.conversation
    return None if talk is None else str(talk.redials)
