"""What a location wants of WebSockets whose backend is lost: `websocket_redial`, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

from penstock.websocket.close_reasons import ABNORMAL

CODES = frozenset({1001, ABNORMAL, 1011, 1012, 1013, 1014})
"""Close codes of a backend after which another is looked for, where nothing else is said; 1006 stands for an end
without a close frame."""


HEADER = "Penstock-Redial"
"""The name that a backend is told under, where no other is given."""


@dataclass(frozen=True, slots=True)
class RedialTerms:
    """Times are seconds, `buffer` bytes. Within `timeout` of the loss up to `tries` are made. `announce` is the frame
    that a client gets when it goes on, b"" for none. `header` is the name that the backend is told under. `quiet` is
    how long a backend that is left on purpose has to be silent before it is closed.
    """

    timeout: float = 30.0
    tries: int = 5
    buffer: int = 256 << 10
    codes: frozenset[int] = field(default=CODES)
    announce: bytes = b""
    header: str = HEADER
    quiet: float = 0.25
