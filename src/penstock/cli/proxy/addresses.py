"""The addresses on `penstock proxy`'s command line, as people write them. Mistakes are `ValueError`s with words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from penstock.config.addresses import Address, listen_address, peer_address

_SCHEME = re.compile(r"([a-z]+)://(.*)", re.ASCII | re.DOTALL)
_SECURE = {"http": False, "ws": False, "https": True, "wss": True}
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# A DNS name (RFC 1034, 3.5) of two labels or more, the last of which is no number: that would be an address.
_NAME = re.compile(
    rf"(?:(?:https|wss)://)?((?:\*\.)?(?:{_LABEL}\.)+(?=[a-z]){_LABEL})(?::([0-9]{{1,5}}))?/?", re.ASCII | re.IGNORECASE
)
_SAFE = re.compile(r"[\w.:\[\]/%~+-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class ProxiedAddress:
    """One `--to`: `server` as an upstream takes it, `uri` what follows the address."""

    address: Address
    secure: bool
    uri: str

    @property
    def server(self) -> str:
        return str(self.address)

    @property
    def local(self) -> bool:
        """Return whether it is this machine or a number: then it has no name of its own to be called by."""
        address = self.address
        return address.family != "name" or address.host == "localhost" or address.host.endswith(".localhost")


def backend(text: str) -> ProxiedAddress:
    """Read an address: `3000`, `:3000`, `localhost:3000`, `http://10.0.0.5:3000/base`, `https://example.com`,
    `unix:/run/app.sock`."""
    found = _SCHEME.fullmatch(text)
    scheme, rest = found.groups() if found else ("http", text)
    if scheme not in _SECURE:
        raise ValueError(f'"{text}": what is proxied speaks http:// or https:// (WebSockets included)')
    secure = _SECURE[scheme]
    if rest.startswith("unix:"):
        return ProxiedAddress(peer_address(_plain(rest)), secure, "")
    rest, slash, path = rest.partition("/")
    if rest.isdigit():
        rest = f":{rest}"
    if rest.startswith(":"):
        rest = f"localhost{rest}"
    try:
        address = peer_address(_plain(rest), 443 if secure else 80)
    except ValueError as error:
        raise ValueError(f'"{text}": {error}; write localhost:3000, http://host:port or unix:/path') from None
    uri = _plain(slash + path) if slash and path else ""
    return ProxiedAddress(address, secure, uri)


def mapping(text: str) -> tuple[str, ProxiedAddress, bool]:
    """Read a `--path`: `/ws=localhost:9000`, and whether a URI was given there, even a single slash."""
    path, mark, rest = text.partition("=")
    if not mark or not path.startswith("/"):
        raise ValueError(f'"{text}": write /path=host:port, as in /ws=localhost:9000')
    found = backend(rest)
    slash = rest.endswith("/") and not found.uri
    return _plain(path), found, slash


def listens(text: str) -> list[str]:
    """Read what `--from` means, as `listen` takes it: `:8080` is every address of this machine, `localhost:8080` its
    own."""
    plain = re.sub(r"^(?:https?|wss?)://", "", text).rstrip("/")
    if plain.startswith("unix:"):
        return [_plain(plain)]
    if plain.isdigit():
        plain = f":{plain}"
    try:
        if plain.startswith(":"):
            if not plain[1:2].isdigit():
                raise ValueError("there is no port")
            found = listen_address(_plain(plain[1:]))
            return [f"{each.port}" for each in found] + [f"[::]:{each.port}" for each in found if has_ipv6()]
        if plain.partition(":")[0] == "localhost":
            found = listen_address(_plain(plain), 8080)
            own = [f"127.0.0.1:{each.port}" for each in found]
            return own + [f"[::1]:{each.port}" for each in found if has_ipv6()]
        return [str(each) for each in listen_address(_plain(plain), 8080)]
    except ValueError as error:
        raise ValueError(f'"{text}": {error}; write :8080, localhost:8080 or 192.0.2.1:8080') from None


def public_name(text: str) -> tuple[str, int] | None:
    """Read a `--from` that may be the name of a site, with the port of its https://: `chat.example.org`,
    `https://chat.example.org:8443`. None for addresses, plain schemes and names without a dot."""
    found = _NAME.fullmatch(text)
    if found is None:
        return None
    name, port = found[1].lower(), int(found[2] or 443)
    if port > 65535 or not port:
        raise ValueError(f'"{text}": there is no such port')
    return name, port


def has_ipv6() -> bool:
    """Return whether this machine can listen on IPv6 addresses."""
    try:
        return bool(Path("/proc/net/if_inet6").read_text("ascii").strip())
    except OSError:
        return False


def _plain(text: str) -> str:
    """Only what cannot end a word of the configuration."""
    if not _SAFE.fullmatch(text):
        raise ValueError("there is a character that does not belong into an address")
    return text
