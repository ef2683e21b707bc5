"""TLS toward clients: `ssl_certificate` and its kin (nginx: ngx_http_ssl_module).

Contexts are built in the master, before it forks and before it drops its privileges: workers share ticket keys and
never read a private key that the configuration names.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from penstock.config.errors import ConfigError
from penstock.config.inputs import read_file
from penstock.config.kinds import Kind, choices, conf_path, custom, either, flag, template, text
from penstock.config.registry import HTTP, SERVER, STREAM_LEVELS, inert
from penstock.config.scope import Call, Compilation, Scope
from penstock.config.settings import WHOLE, Settings, directive, directives, united
from penstock.config.values import number, seconds
from penstock.config.variables import Template
from penstock.http.head import RequestHead
from penstock.http.request import Request
from penstock.modules.acme.orders import ORDERED, WANTED, orders_of
from penstock.modules.tls.certificates import NO_PASSWORD, NamedAtHandshake, passwords
from penstock.modules.tls.sessions import TlsSessions, secrets_for
from penstock.modules.tls.verify import ClientCertificates
from penstock.net.tls.expiry import ends_at
from penstock.net.tls.files import DATA, CannotLoad
from penstock.plan.location import SERVERS, Listen, Server

if TYPE_CHECKING:
    import ssl

    from penstock.http.client import ClientConnection
    from penstock.modules.tls.context import ContextBuilder
    from penstock.plan.plan import Plan

PAGE = "ngx_http_ssl_module.html"
WHERE = HTTP | SERVER | STREAM_LEVELS
SPOKEN = ("http/1.1", "http/1.0", "http/0.9")
PROTOCOLS = ("SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_UNASKED = (64, 60.0, -1.0)
"""What is kept where ssl_certificate_cache is off: 64 files for a minute, looked at at each handshake."""


def _old_switch(call: Call) -> bool:
    value = call.args[0].text.lower()
    if value not in ("on", "off"):
        raise call.fail(
            f'invalid value "{call.args[0].text}" in "ssl" directive, it must be "on" or "off"', call.args[0]
        )
    call.compilation.problems.warn(
        'the "ssl" directive is deprecated, use the "listen ... ssl" directive instead', call.directive.span
    )
    return value == "on"


def _certificate_cache(call: Call) -> tuple[int, float, float] | None:
    if len(call.args) == 1 and call.args[0].text == "off":
        return None
    most, inactive, valid = 0, 10.0, 60.0
    for word in call.args:
        name, _, value = word.text.partition("=")
        try:
            if name == "max":
                most = number(value)
            elif name == "inactive":
                inactive = seconds(value)
            elif name == "valid":
                valid = seconds(value)
            else:
                raise ValueError(name)
        except ValueError:
            raise call.fail(f'invalid parameter "{word.text}"', word) from None
    if most < 1:
        raise call.fail('"ssl_certificate_cache" must have the "max" parameter')
    return most, inactive, valid


def _alpn(call: Call) -> tuple[str, ...]:
    for word in call.args:
        if not 0 < len(word.text) < 256:
            raise call.fail("protocol too long" if word.text else "empty protocol", word)
    return tuple(word.text for word in call.args)


class Tls(Settings):
    """Certificates, protocols and ciphers of a server."""

    old_switch: bool = directive(
        "ssl",
        where=HTTP | SERVER,
        takes=custom(_old_switch, syntax="on | off"),
        default=False,
        nginx=PAGE,
        doc="Of configurations written before nginx 1.15: every address of the server speaks TLS.",
    )
    certificates: tuple[Template, ...] = directives(
        "ssl_certificate", where=WHERE, takes=template, inherit=WHOLE, nginx=PAGE
    )
    keys: tuple[Template, ...] = directives(
        "ssl_certificate_key", where=WHERE, takes=template, inherit=WHOLE, nginx=PAGE
    )
    certificate_cache: tuple[int, float, float] | None = directive(
        "ssl_certificate_cache",
        where=WHERE,
        takes=custom(_certificate_cache, most=3, syntax="off | max=N [inactive=time] [valid=time]"),
        nginx=PAGE,
        shown="off",
        doc="For names with variables. Without it certificates are kept too, their files looked at each time.",
    )
    passwords: tuple[bytes, ...] = directive(
        "ssl_password_file",
        where=WHERE,
        takes=custom(passwords, syntax="file"),
        default=NO_PASSWORD,
        nginx=PAGE,
        shown="",
    )
    protocols: frozenset[str] = directive(
        "ssl_protocols",
        where=WHERE,
        takes=choices(*PROTOCOLS),
        default=frozenset({"TLSv1.2", "TLSv1.3"}),
        nginx=PAGE,
        shown="TLSv1.2 TLSv1.3",
        again=united,
    )
    ciphers: str = directive("ssl_ciphers", where=WHERE, takes=text, default="HIGH:!aNULL:!MD5", nginx=PAGE)
    prefer_server_ciphers: bool = directive(
        "ssl_prefer_server_ciphers", where=WHERE, takes=flag, default=False, nginx=PAGE
    )
    dhparam: str | None = directive("ssl_dhparam", where=WHERE, takes=conf_path, nginx=PAGE)
    curves: str | None = directive(
        "ssl_ecdh_curve", where=WHERE, takes=either("auto", None, text), nginx=PAGE, shown="auto"
    )
    commands: tuple[tuple[str, str], ...] = directives(
        "ssl_conf_command",
        where=WHERE,
        takes=Kind(lambda call: (call.args[0].text, call.args[1].text), 2, 2, "name value"),
        nginx=PAGE,
    )
    reject_handshake: bool = directive("ssl_reject_handshake", where=WHERE, takes=flag, default=False, nginx=PAGE)
    alpn: tuple[str, ...] = directive(
        "ssl_alpn",
        where=STREAM_LEVELS,
        takes=custom(_alpn, most=None, syntax="protocol ..."),
        default=(),
        nginx="ngx_stream_ssl_module.html",
        doc="Protocols that may be agreed on by ALPN. A client that offers none of them is turned away.",
    )

    watch: bool = directive(
        "ssl_certificate_watch",
        where=WHERE,
        takes=flag,
        default=False,
        doc="Read the files of certificates, keys and authorities again, by themselves, when they have changed; those "
        "that can not be used are reported, and the ones before stay. Penstock's own.",
    )

    offered: tuple[str, ...] = SPOKEN
    """What may be agreed on by ALPN, HTTP/2 aside."""

    def finish(self, scope: Scope) -> None:
        if scope.context & STREAM_LEVELS:
            self.offered = self.alpn

    @property
    def named_at_handshake(self) -> bool:
        """Return whether a name of a certificate or key holds variables."""
        names = (*self.certificates, *self.keys[: len(self.certificates)])
        return any(name.literal is None and name.text not in ORDERED for name in names)


class TlsOffer:
    """What a server offers at a handshake. `context` is None where it has no certificate of its own: the default
    server's serves. `reject` turns every client away. `ends` says of each certificate, by its name as written, when its
    time is over, in seconds since 1970; of those that are named at the handshake nothing is known."""

    __slots__ = ("_full", "_named", "_names", "context", "ends", "reject")

    def __init__(self, tls: Tls) -> None:
        self.reject = tls.reject_handshake
        self.context: ssl.SSLContext | None = None
        self.ends: dict[str, float] = {}
        self._names = (*tls.certificates, *tls.keys[: len(tls.certificates)])
        self._named: NamedAtHandshake | None = None
        self._full = str

    def name_later(self, builder: ContextBuilder, tls: Tls) -> None:
        """Make contexts at the handshake, as the certificates' names hold variables. Raises `ConfigError`."""
        self._named = builder.at_handshake(*(tls.certificate_cache or _UNASKED))
        self._full = builder.full  # type: ignore[assignment]

    @property
    def able(self) -> bool:
        """Return whether there is a certificate to show."""
        return self.context is not None or self._named is not None

    def context_for(self, connection: ClientConnection, server: Server, now: float) -> ssl.SSLContext | None:
        """Return the context for a client whose name is known. Raises `CannotLoad`."""
        if self._named is None:
            return self.context
        request = Request(connection, RequestHead("", "", "", 11, [], {}), server)
        request.uri = request.args = ""
        names = tuple(self._full(name.evaluate(request)) for name in self._names)
        if not all(names):
            raise CannotLoad('cannot load certificate "": its name is empty')
        return self._named.find(names, now)


def watched_files(plan: Plan) -> list[str]:
    """Return the files that `ssl_certificate_watch` is about."""
    full = plan.main.compilation.conf_path
    found: dict[str, None] = {}
    for order in orders_of(plan):
        found.update({order.certificate_file: None, order.key_file: None})
    for server in plan.servers:
        tls, clients = server.root[Tls], server.root[ClientCertificates]
        if not tls.watch:
            continue
        named = [each.literal for each in (*tls.certificates, *tls.keys) if each.literal is not None]
        found.update((full(name), None) for name in named if not name.startswith(("data:", "engine:", "store:")))
        found.update((name, None) for name in (clients.authorities, clients.trusted, clients.crl) if name is not None)
    return list(found)


def secure(compilation: Compilation, listens: list[Listen]) -> None:
    """Give every server that has certificates its context. Called when the whole file has been read."""
    for listen in listens:
        if listen.default is not None and listen.default.root[Tls].old_switch:
            listen.options = listen.options.with_ssl()
    made: dict[tuple[int, ...], TlsOffer] = {}
    servers = compilation.shared[SERVERS]
    for server in servers:
        with compilation.collecting():
            _prepare(compilation, server, made)
        if WANTED in compilation.shared and not any(name.text in ORDERED for name in server.root[Tls].certificates):
            from penstock.modules.acme.certificate import warn_unused

            warn_unused(compilation, server)
    for listen in listens:
        if listen.options.ssl:
            with compilation.collecting():
                _check(listen)


def _prepare(compilation: Compilation, server: Server, made: dict[tuple[int, ...], TlsOffer]) -> None:
    tls, sessions, clients = server.root[Tls], server.root[TlsSessions], server.root[ClientCertificates]
    known: tuple[int, ...] = (id(tls), id(sessions), id(clients))
    ordered = any(name.text in ORDERED for name in tls.certificates)
    if ordered:
        known += (id(server),)
    if known in made:
        server.tls = made[known]
        return
    offer = server.tls = made[known] = TlsOffer(tls)
    if not tls.certificates:
        return
    if len(tls.keys) < len(tls.certificates):
        raise ConfigError(
            f'no "ssl_certificate_key" is defined for certificate "{tls.certificates[-1].text}"',
            tls.origins["certificates"][-1],
            hint="add: ssl_certificate_key /path/to/key.pem;",
        )
    from penstock.modules.tls.context import ContextBuilder

    secrets = secrets_for(compilation, sessions)
    full_name = partial(_full_name, compilation, server) if ordered else compilation.conf_path
    builder = ContextBuilder(tls, sessions, clients, compilation.problems, full_name, secrets)
    if tls.named_at_handshake:
        offer.name_later(builder, tls)
    else:
        offer.context = builder.fixed()
        for name in tls.certificates:
            end = _end_of(builder.full(name.text))
            if end is not None:
                offer.ends["data:" if name.text.startswith(DATA) else name.text] = end


def _full_name(compilation: Compilation, server: Server, name: str) -> str:
    if name not in ORDERED:
        return compilation.conf_path(name)
    from penstock.modules.acme.certificate import file_of

    return file_of(compilation, server, name)


def _end_of(name: str) -> float | None:
    """When the time of a certificate is over that has been loaded already."""
    if name.startswith(("engine:", "store:")):
        return None
    return ends_at(name.removeprefix(DATA).encode("latin-1") if name.startswith(DATA) else read_file(name))


def _check(listen: Listen) -> None:
    """Somebody must have a certificate to show on an address that speaks TLS."""
    default = listen.default
    assert default is not None
    if default.root[Tls].certificates:
        return
    lacking = [default]
    if default.tls.reject:
        lacking = [each for each in listen.servers if not each.root[Tls].certificates and not each.tls.reject]
    for server in lacking:
        scope = server.root.scope
        raise ConfigError(
            'no "ssl_certificate" is defined for the "listen ... ssl" directive',
            scope.directive.name.span if scope is not None and scope.directive is not None else server.span,
            hint="add: ssl_certificate /path/to/fullchain.pem; ssl_certificate_key /path/to/key.pem;",
        )


inert(
    "ssl_stapling",
    where=WHERE,
    reason="Python's ssl can not staple OCSP answers; clients do without, but for certificates that say must-staple",
    nginx=PAGE,
    module="ssl",
    told="answers of OCSP responders are not sent along here; clients that want them ask by themselves",
)
inert(
    "ssl_stapling_file",
    "ssl_stapling_responder",
    "ssl_stapling_verify",
    where=WHERE,
    reason="Python's ssl can not staple OCSP answers; clients do without, but for certificates that say must-staple",
    nginx=PAGE,
    module="ssl",
)
inert(
    "ssl_buffer_size",
    where=HTTP | SERVER,
    reason="records are cut as the socket takes them",
    nginx=PAGE,
    module="ssl",
)
inert("ssl_early_data", where=HTTP | SERVER, reason="0-RTT data is never accepted", nginx=PAGE, module="ssl")
inert(
    "ssl_certificate_compression",
    where=WHERE,
    reason="certificates are sent as they are: the option only saves bytes of the handshake",
    nginx=PAGE,
    module="ssl",
)
inert(
    "ssl_ech_file",
    where=WHERE,
    reason="Python's OpenSSL has no Encrypted Client Hello; as in an nginx without it the line is ignored",
    nginx=PAGE,
    module="ssl",
    again=("ssl_ech_file",),
    told="this OpenSSL has no Encrypted Client Hello",
)


def _ocsp(call: Call) -> bool:
    value = call.args[0].text
    if value not in ("on", "off", "leaf"):
        raise call.fail(f'invalid value "{value}" in "ssl_ocsp" directive', call.args[0])
    if value != "off":
        raise call.fail(
            '"ssl_ocsp" is not supported', call.args[0], hint="revoked certificates of clients can be listed: ssl_crl"
        )
    return False


class Ocsp(Settings):
    """Revocation of clients' certificates asked for over the net."""

    enabled: bool = directive(
        "ssl_ocsp",
        where=WHERE,
        takes=custom(_ocsp, syntax="off"),
        default=False,
        nginx=PAGE,
        doc="Only off: responders are not asked. ssl_crl does the same with a file.",
    )


inert(
    "ssl_ocsp_cache",
    "ssl_ocsp_responder",
    where=WHERE,
    reason="only `ssl_ocsp off` is taken, which asks nobody",
    nginx=PAGE,
    module="ssl",
)
