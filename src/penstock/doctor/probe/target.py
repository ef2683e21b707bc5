"""The address that is probed, as people write it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from penstock.config.addresses import bracketed

_SECURE = {"ws": False, "wss": True, "http": False, "https": True}


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """Where to connect and what to ask for. `host` has no brackets; `target` is the path with its query."""

    secure: bool
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Return what the Host header says."""
        host = bracketed(self.host)
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Return the origin of a page on the same host."""
        return f"{'https' if self.secure else 'http'}://{self.authority}"

    @property
    def url(self) -> str:
        return f"{'wss' if self.secure else 'ws'}://{self.authority}{self.target}"


def parse_target(text: str, base: ProbeTarget | None = None) -> ProbeTarget:
    """Read a URL: `wss://host/path`, `https://host/`, `localhost:3000/ws`, `:3000`.

    What it leaves out (scheme, path) is as in `base`. Text of any characters. Raises ValueError in words for a person.
    """
    scheme, mark, rest = text.partition("://")
    if not mark:
        scheme, rest = ("wss" if base.secure else "ws") if base else "ws", text
    if scheme.lower() not in _SECURE:
        raise ValueError(f'"{scheme}://" is not a WebSocket\'s: write ws://, wss://, http:// or https://')
    if rest.startswith(":"):
        rest = f"localhost{rest}"
    elif rest.isdigit():
        rest = f"localhost:{rest}"
    secure = _SECURE[scheme.lower()]
    try:
        parts = urlsplit(f"http://{rest}")
        port = parts.port or (443 if secure else 80)
    except ValueError as error:
        raise ValueError(f'"{text}" is not an address: {error}') from None
    if not parts.hostname:
        raise ValueError(f'there is no host in "{text}"')
    if parts.username is not None:
        raise ValueError("a name and a password do not belong into the URL: send them with -H 'Authorization: ...'")
    path = parts.path or (base.target if base is not None and not parts.query else "/")
    target = quote(path, safe="/%:@!$&'()*+,;=~?") + (
        f"?{quote(parts.query, safe='/%:@!$&()*+,;=~?')}" if parts.query else ""
    )
    return ProbeTarget(secure, _ascii(parts.hostname), port, target)


def _ascii(host: str) -> str:
    """The name as DNS has it: IDNA for what is not ASCII."""
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError(f'"{host}" is not a host name') from None
