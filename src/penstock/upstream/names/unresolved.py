"""A name that leads nowhere."""

from __future__ import annotations

FORMERR = 1
SERVFAIL = 2
NXDOMAIN = 3
TIMED_OUT = 110

MEANING: dict[int, str] = {
    FORMERR: "Format error",
    SERVFAIL: "Server failure",
    NXDOMAIN: "Host not found",
    4: "Unimplemented",
    5: "Operation refused",
    TIMED_OUT: "Operation timed out",
}


class Unresolved(Exception):
    """Raised for a name without an address. `code` is the name server's (RFC 1035, 4.1.1), or 110 if none answered in
    time."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(name, code)
        self.name = name
        self.code = code

    def __str__(self) -> str:
        return f"{self.name} could not be resolved ({self.code}: {MEANING.get(self.code, 'Unknown error')})"
