"""Which certificates are ordered: `acme_certificate`, and `$acme_certificate` where their files are wanted (nginx:
ngx_http_acme_module).

    server {
        listen 443 ssl;
        server_name chat.example.org;
        acme_certificate letsencrypt;
        ssl_certificate $acme_certificate;
        ssl_certificate_key $acme_certificate_key;
    }

The names become those of files in the issuer's `state_path` when the configuration is read. Until there is a
certificate, a self-signed one is in its place. The process of `process/acme/` writes the files; the master sees that
they have changed, as with `ssl_certificate_watch`, and no tunnel is touched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from typing import TYPE_CHECKING

from penstock.config.addresses import network
from penstock.config.errors import ConfigError
from penstock.config.inputs import gathered, read_file
from penstock.config.key import Key
from penstock.config.kinds import custom
from penstock.config.registry import SERVER
from penstock.config.scope import Call, Compilation
from penstock.config.settings import Settings, directive
from penstock.config.variables import variable
from penstock.http.request import Request
from penstock.modules.acme.issuer import ISSUERS, PAGE, key_kind
from penstock.modules.acme.orders import CERTIFICATE, KEY, ORDERS, WANTED, Order
from penstock.modules.core.server_blocks import NAMES

if TYPE_CHECKING:
    from penstock.plan.location import Server

MODULE = "acme"
# A DNS name (RFC 1034, 3.5): labels of letters, digits and hyphens.
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DNS = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*{_LABEL}", re.ASCII)


@dataclass(frozen=True, slots=True)
class WantedCertificate:
    """An `acme_certificate` as it is written. Without `identifiers` they are the server's names."""

    issuer: str
    identifiers: tuple[str, ...]
    key: str


MADE: Key[dict[str, tuple[str, str]]] = Key("self-signed certificates")
"""Certificates and keys that stand in for those that are not there yet, by the file of the certificate."""


def _wanted(call: Call) -> WantedCertificate:
    identifiers, key = [], "ecdsa:256"
    for word in call.args[1:]:
        if word.text.startswith("key="):
            found = key_kind(word.text.removeprefix("key="))
            if found is None:
                raise call.fail(f'invalid parameter "{word.text}"', word, hint="key=ecdsa:256, key=rsa:2048")
            key = found
        else:
            name = _identifier(word.text.lower())
            if name is None:
                raise call.fail(f'invalid identifier "{word.text}"', word, hint=_hint(word.text))
            identifiers.append(name)
    call.compilation.shared[WANTED] = True
    return WantedCertificate(call.args[0].text, tuple(identifiers), key)


def _identifier(text: str) -> str | None:
    """Return a name or an address that a certificate may be for, or None."""
    if _DNS.fullmatch(text) and not text.replace(".", "").isdigit():
        return text
    try:
        return text if "/" not in text and network(text) else None
    except ValueError:
        return None


def _hint(text: str) -> str:
    if "*" in text:
        return "a wildcard needs the challenge dns-01: let certbot or lego fetch that certificate"
    return "a host name or an address"


class AcmeCertificate(Settings):
    """The certificate that is ordered for a server."""

    wanted: WantedCertificate | None = directive(
        "acme_certificate",
        where=SERVER,
        takes=custom(_wanted, most=None, syntax="issuer [identifier ...] [key=alg[:size]]"),
        nginx=PAGE,
        doc="Order a certificate for these names, or those of the server, and renew it in time. ssl_certificate "
        "$acme_certificate; and ssl_certificate_key $acme_certificate_key; make use of it.",
    )


def file_of(compilation: Compilation, server: Server, name: str) -> str:
    """Return the file that `$acme_certificate` or `$acme_certificate_key` is in a server.

    Where it is not there yet, it is `data:` and a self-signed certificate. Raises `ConfigError`.
    """
    order = _order(compilation, server)
    own = order.certificate_file if name == CERTIFICATE else order.key_file
    try:
        for path in (order.certificate_file, order.key_file):
            read_file(path)
    except OSError:
        made = compilation.shared.setdefault(MADE, {})
        if order.certificate_file not in made:
            purpose = f"self-signed {order.certificate_file}"
            made[order.certificate_file] = gathered("acme", purpose, lambda: _self_signed(order.identifiers))
        certificate, key = made[order.certificate_file]
        return f"data:{certificate if name == CERTIFICATE else key}"
    return own


def _order(compilation: Compilation, server: Server) -> Order:
    settings = server.root[AcmeCertificate]
    wanted = settings.wanted
    if wanted is None:
        raise ConfigError(
            f'"{CERTIFICATE}" in a server without "acme_certificate"', server.span, hint="add: acme_certificate ISSUER;"
        )
    span = settings.origin("wanted")
    known = compilation.shared.get(ISSUERS) or {}
    if wanted.issuer not in known:
        raise ConfigError(
            f'unknown acme_issuer "{wanted.issuer}"', span, hint=f"add: acme_issuer {wanted.issuer} {{ uri ...; }}"
        )
    if find_spec("acme") is None:
        raise ConfigError(
            "certificates can not be ordered without the acme library", span, hint="pip install 'penstock[acme]'"
        )
    issuer = known[wanted.issuer][0]
    names = list(wanted.identifiers)
    if not names:
        scope = server.root.scope
        for _, name in (scope.data.get(NAMES) if scope is not None else None) or ():
            if not isinstance(name, str) or not name:
                continue  # a pattern names nobody
            if _identifier(name) is None:
                raise ConfigError(f'no certificate can be ordered for the name "{name}"', span, hint=_hint(name))
            names.append(name)
    if not names:
        raise ConfigError("acme_certificate for a server without names", span, hint="add server_name, or identifiers")
    digest = sha256(repr((issuer.uri, sorted(names), wanted.key)).encode()).hexdigest()[:12]
    stem = f"{issuer.state}/{names[0].replace(':', '_')}-{digest}"
    order = Order(issuer, tuple(names), wanted.key, f"{stem}.crt", f"{stem}.key")
    compilation.shared.setdefault(ORDERS, {})[order.certificate_file] = order
    return order


def warn_unused(compilation: Compilation, server: Server) -> None:
    """Warn of a certificate that nobody would see, and that is not ordered."""
    settings = server.root[AcmeCertificate]
    if settings.wanted is not None:
        compilation.problems.warn(
            f'no certificate is ordered: ssl_certificate of this server does not name "{CERTIFICATE}"',
            settings.origin("wanted"),
            hint=f"add: ssl_certificate {CERTIFICATE}; ssl_certificate_key {KEY};",
        )


def _self_signed(names: tuple[str, ...]) -> tuple[str, str]:
    """Make a certificate that nobody trusts, and its key, as PEM: so that the address can be listened on."""
    from penstock.modules.acme.self_signed import self_signed

    return self_signed(names)


@variable("acme_certificate", "acme_certificate_key")
def acme_certificate_file(request: Request) -> None:
    """Empty, but in ssl_certificate and ssl_certificate_key: there it is the file of the server's certificate."""
