"""A site with a certificate that is ordered for its name: `--from chat.example.org`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from penstock.cli.proxy.addresses import has_ipv6, public_name
from penstock.cli.proxy.certificate import is_local_name
from penstock.cli.proxy.site import CertificateIssuer, Front, Route
from penstock.modules.acme.issuer import STATE_OF_ROOT
from penstock.modules.acme.orders import CERTIFICATE, KEY

LETSENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
NO_PLAIN_PORT = "off"


@dataclass(frozen=True, slots=True)
class OrderedSite:
    """What is to be served for names that get a certificate: `ports` for https://, `plain` for http:// (0: none)."""

    names: tuple[str, ...]
    ports: tuple[int, ...]
    plain: int
    issuer: CertificateIssuer

    def fronts(self, routes: tuple[Route, ...]) -> tuple[Front, ...]:
        """Return the server for https://, and the one that sends there whoever comes by http://."""
        secure = Front(
            _everywhere(self.ports),
            routes,
            CERTIFICATE,
            KEY,
            self.names,
            lines=(f"acme_certificate {self.issuer.name};",),
        )
        if not self.plain:
            return (secure,)
        port = "" if self.ports[0] == 443 else f":{self.ports[0]}"
        notes = ("The authority asks here whether the names are ours; everybody else goes on to https://.",)
        moved = (f"return 301 https://$host{port}$request_uri;",)
        return secure, Front(_everywhere((self.plain,)), (), names=self.names, notes=notes, lines=moved)


def ordered_site(
    fronts: Sequence[str], issuer: str | None, email: str | None, authorities: str | None, plain: str | None
) -> OrderedSite | None:
    """Read what is said of names and their certificates; None if no `--from` is a name to order one for.

    Without an issuer of one's own, names that mean something on this network alone are none. Raises `ValueError` for
    what does not go together.
    """
    found = [public_name(each) for each in fronts]
    sites = [each for each in found if each is not None and (issuer is not None or not is_local_name(each[0]))]
    if not sites:
        if any(each is not None for each in (issuer, email, authorities, plain)):
            words = "--issuer, --email, --issuer-cafile and --http-port are for a certificate that is ordered"
            raise ValueError(f"{words}: --from chat.example.org")
        return None
    if len(sites) != len(fronts):
        raise ValueError("names that get a certificate and other addresses can not be mixed: one --from is a name")
    names = tuple(dict.fromkeys(name for name, _ in sites))
    for name in names:
        if name.startswith("*"):
            raise ValueError(
                f'"{name}": a certificate for every name below needs the challenge dns-01: let certbot or lego fetch '
                "it, and name its files with --cert and --key"
            )
    uri = issuer or LETSENCRYPT
    if urlsplit(uri).scheme != "https" or not urlsplit(uri).hostname:
        raise ValueError(f'--issuer "{uri}": write the https:// address of its directory')
    number = _plain_port(plain)
    name = _issuer_name(uri)
    made = CertificateIssuer(
        name,
        uri,
        f"{state_folder()}/acme_{name}",
        "http-01" if number else "tls-alpn-01",
        _email(email),
        authorities or "",
    )
    return OrderedSite(names, tuple(dict.fromkeys(port for _, port in sites)), number, made)


def state_folder() -> str:
    """Return the folder for accounts and certificates (XDG Base Directory Specification). Raises `ValueError` for a
    user without a home."""
    said = os.environ.get("XDG_STATE_HOME") or ""
    if said.startswith("/"):
        return _as_text(Path(said) / "penstock")
    if os.geteuid() == 0:
        return STATE_OF_ROOT.rstrip("/")
    try:
        return _as_text(Path.home() / ".local" / "state" / "penstock")
    except RuntimeError:
        raise ValueError("there is no home to keep certificates in: name a folder with XDG_STATE_HOME") from None


def prepare(site: OrderedSite) -> str:
    """Make the folder for account and certificates; return why none could be had, "" if all is well."""
    if find_spec("acme") is None:
        return "certificates are ordered with a library that is not here: pip install 'penstock[acme]'"
    folder = Path(os.fsdecode(site.issuer.state.encode("latin-1")))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        return f"certificates can not be kept in {site.issuer.state} ({error.strerror}): set XDG_STATE_HOME to a folder"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"certificates can not be kept in {site.issuer.state}, which is somebody else's: set XDG_STATE_HOME"
    return ""


def _everywhere(ports: tuple[int, ...]) -> tuple[str, ...]:
    found = [f"{port}" for port in ports]
    return (*found, *(f"[::]:{port}" for port in ports if has_ipv6()))


def _issuer_name(uri: str) -> str:
    """A word for the authority, and for its folder: two have nothing in common."""
    if uri == LETSENCRYPT:
        return "letsencrypt"
    parts = urlsplit(uri)
    return re.sub(r"[^A-Za-z0-9.-]", "_", (parts.netloc.rpartition("@")[2] + parts.path).strip("/"))


def _plain_port(text: str | None) -> int:
    if text is None:
        return 80
    if text == NO_PLAIN_PORT:
        return 0
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or not 0 < int(text) < 65536:
        raise ValueError(f'--http-port "{text}": a number, or off')
    return int(text)


def _email(text: str | None) -> str:
    if text is None:
        return ""
    if not re.fullmatch(r"(?:mailto:)?[\x21-\x7e]+@[A-Za-z0-9.-]+", text, re.ASCII) or set(text) & set('"\\;{}$'):
        raise ValueError(f'--email "{text}": write one address, as in admin@example.org')
    return text


def _as_text(path: Path) -> str:
    return os.fsencode(path).decode("latin-1")
