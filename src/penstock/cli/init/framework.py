"""What `penstock init` knows of a framework."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Framework:
    """`packages` of Python, `node` of JavaScript and `others` (gems, hex packages, files) give it away, or `words` in a
    command that starts it. `weak`: only where nothing else is found, for many have it without running it; `signs` is a
    pattern in its programs without which the package alone means little.

    Where it listens: `commands` are words of command lines that start it, `calls` patterns of calls that listen,
    `makers` what makes an object whose `run` or `listen` does; `settings` are files, each with a pattern of its port;
    `blocks` are files, each with the name of the block of its port; `environment` are variables with its port, beside
    PORT. `notes` go before its location."""

    name: str
    title: str
    port: int
    packages: tuple[str, ...] = ()
    node: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    signs: str = ""
    commands: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    makers: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    blocks: tuple[tuple[str, str], ...] = ()
    environment: tuple[str, ...] = ()
    weak: bool = False
    notes: tuple[str, ...] = ()
    start: str = ""

SOCKET_IO_NOTES = (
    "Socket.IO: /socket.io/ by long polling first, then as a WebSocket.",
    "With more than one process, a client must keep to one: add servers to the upstream, and there",
    '"hash $remote_addr consistent;" (or, in Penstock and nginx since 1.29.6, "sticky cookie route;").',
)
