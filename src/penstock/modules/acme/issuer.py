"""Who issues certificates: `acme_issuer` (nginx: ngx_http_acme_module)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from penstock.config.errors import ConfigError, duplicate
from penstock.config.key import Key
from penstock.config.registry import HTTP, block, inert
from penstock.config.scope import Scope
from penstock.config.tree import Directive

PAGE = "ngx_http_acme_module.html"
MODULE = "acme"

HTTP_01, TLS_ALPN_01 = "http-01", "tls-alpn-01"
STATE_OF_ROOT = "/var/lib/penstock/"
"""Where the state of a program of root's is, unless `state_path` says so; of others it is below the prefix."""

_KEY = re.compile(r"(?:ecdsa(?::(?:256|384|521))?|rsa(?::(?:2048|3072|4096))?)", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Issuer:
    """An authority, and who asks it.

    `account_key` is `ecdsa:256` and the like, for a key that is made and kept in `state`, or the file of one; `trusted`
    is the file of the authorities that may vouch for the authority's own server. `external` is the id and the file of
    an account that was agreed on elsewhere (RFC 8555, section 7.3.4).
    """

    name: str
    uri: str = ""
    account_key: str = "ecdsa:256"
    challenge: str = HTTP_01
    contacts: tuple[str, ...] = ()
    external: tuple[str, str] | None = None
    trusted: str | None = None
    verify: bool = True
    state: str = ""
    agreed: bool = False
    profile: str = ""


ISSUERS: Key[dict[str, tuple[Issuer, Directive]]] = Key("acme issuers")


def key_kind(text: str) -> str | None:
    """Read the name of a kind of key, with its size: `ecdsa` is `ecdsa:256`; None for what is none."""
    if _KEY.fullmatch(text) is None:
        return None
    return text if ":" in text else {"ecdsa": "ecdsa:256", "rsa": "rsa:2048"}[text]


@block("acme_issuer", where=HTTP, least=1, most=1, syntax="name { ... }", nginx=PAGE)
def acme_issuer(scope: Scope, directive: Directive) -> None:
    """An authority that certificates are ordered from (RFC 8555). It holds uri, account_key, challenge, contact,
    external_account_key, ssl_trusted_certificate, ssl_verify, state_path, accept_terms_of_service and profile. Needs
    the extra `penstock[acme]`."""
    name = directive.args[0].text
    known = scope.compilation.shared.setdefault(ISSUERS, {})
    if name in known:
        raise duplicate("acme_issuer", directive.span, known[name][1].span)
    if _NAME.fullmatch(name) is None or name.startswith("."):
        raise ConfigError(
            f'invalid name "{name}" of an acme_issuer', directive.args[0].span, hint="letters, digits, . _ and -"
        )
    issuer = Issuer(name, state=scope.compilation.conf_path(f"acme_{name}"))
    if os.geteuid() == 0:
        issuer = replace(issuer, state=f"{STATE_OF_ROOT}acme_{name}")
    seen: dict[str, Directive] = {}
    for line in directive.block or ():
        with scope.compilation.collecting():
            issuer = _line(scope, line, seen, issuer)
    if not issuer.uri:
        raise ConfigError(
            f'acme_issuer "{name}" has no uri',
            directive.span,
            hint="add: uri https://acme-v02.api.letsencrypt.org/directory;",
        )
    known[name] = (issuer, directive)


def _line(scope: Scope, line: Directive, seen: dict[str, Directive], issuer: Issuer) -> Issuer:
    word = line.name.text
    read = _LINES.get(word)
    if read is None:
        raise ConfigError(
            f'unknown directive "{word}" in "acme_issuer"', line.name.span, hint="it holds: " + ", ".join(_LINES)
        )
    least, most, handle = read
    if line.block is not None or not least <= len(line.args) <= most:
        raise ConfigError(f'invalid number of arguments in "{word}" directive', line.span)
    if word in seen and word != "contact":
        raise duplicate(word, line.span, seen[word].span)
    seen[word] = line
    return handle(scope, line, issuer)


def _uri(scope: Scope, line: Directive, issuer: Issuer) -> Issuer:
    text = line.args[0].text
    if urlsplit(text).scheme != "https" or not urlsplit(text).hostname:
        raise ConfigError(f'invalid uri "{text}" of an authority', line.args[0].span, hint="write: https://host/path")
    return replace(issuer, uri=text)


def _account_key(scope: Scope, line: Directive, issuer: Issuer) -> Issuer:
    text = line.args[0].text
    return replace(issuer, account_key=key_kind(text) or scope.compilation.conf_path(text))


def _challenge(scope: Scope, line: Directive, issuer: Issuer) -> Issuer:
    names = {"http": HTTP_01, "http-01": HTTP_01, "tls-alpn": TLS_ALPN_01, "tls-alpn-01": TLS_ALPN_01}
    text = line.args[0].text
    if text not in names:
        hint = "http-01 or tls-alpn-01; for wildcards, which need dns-01, let certbot or lego fetch the certificate"
        raise ConfigError(f'unsupported challenge "{text}"', line.args[0].span, hint=hint)
    return replace(issuer, challenge=names[text])


def _contact(scope: Scope, line: Directive, issuer: Issuer) -> Issuer:
    text = line.args[0].text
    return replace(issuer, contacts=(*issuer.contacts, text if ":" in text else f"mailto:{text}"))


def _external(scope: Scope, line: Directive, issuer: Issuer) -> Issuer:
    key = line.args[1].text
    return replace(
        issuer, external=(line.args[0].text, key if key.startswith("data:") else scope.compilation.conf_path(key))
    )


def _trusted(scope: Scope, line: Directive, issuer: Issuer) -> Issuer:
    return replace(issuer, trusted=scope.compilation.conf_path(line.args[0].text))


def _verify(scope: Scope, line: Directive, issuer: Issuer) -> Issuer:
    text = line.args[0].text.lower()
    if text not in ("on", "off"):
        raise ConfigError(f'invalid value "{text}" in "ssl_verify" directive, it must be "on" or "off"', line.span)
    if text == "off":
        scope.compilation.problems.warn("whoever is in the way to this authority can speak in its name", line.span)
    return replace(issuer, verify=text == "on")


def _state(scope: Scope, line: Directive, issuer: Issuer) -> Issuer:
    text = line.args[0].text
    if text == "off":
        raise ConfigError(
            "certificates that are not kept would be ordered anew at each start, until the authority refuses",
            line.args[0].span,
            hint="name a folder: state_path /var/lib/penstock/acme;",
        )
    return replace(issuer, state=scope.compilation.conf_path(text))


def _agreed(scope: Scope, line: Directive, issuer: Issuer) -> Issuer:
    return replace(issuer, agreed=True)


def _profile(scope: Scope, line: Directive, issuer: Issuer) -> Issuer:
    return replace(issuer, profile=line.args[0].text)


_LINES: dict[str, tuple[int, int, Callable[[Scope, Directive, Issuer], Issuer]]] = {
    "uri": (1, 1, _uri),
    "account_key": (1, 1, _account_key),
    "challenge": (1, 1, _challenge),
    "contact": (1, 1, _contact),
    "external_account_key": (2, 2, _external),
    "ssl_trusted_certificate": (1, 1, _trusted),
    "ssl_verify": (1, 1, _verify),
    "state_path": (1, 1, _state),
    "accept_terms_of_service": (0, 0, _agreed),
    "profile": (1, 2, _profile),
}

inert(
    "acme_shared_zone",
    where=HTTP,
    reason="what workers share of certificates has a size that is known",
    nginx=PAGE,
    module=MODULE,
)
