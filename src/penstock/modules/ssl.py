"""TLS toward clients: `ssl_certificate` and its kin (nginx: ngx_http_ssl_module).

Contexts are built in the master, before it forks and before it drops its privileges: workers share ticket keys and
never read a private key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.config.errors import ConfigError
from penstock.config.kinds import choice, choices, conf_path, custom, either, flag, number, seconds, text
from penstock.config.registry import HTTP, SERVER, inert
from penstock.config.scope import Call, Compilation, Scope
from penstock.config.settings import WHOLE, Settings, directive, directives
from penstock.plan.location import Listen, Server

if TYPE_CHECKING:
    import ssl

PAGE = "ngx_http_ssl_module.html"
WHERE = HTTP | SERVER
PROTOCOLS = ("SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")


def _cache(call: Call) -> tuple[str, ...]:
    for word in call.args:
        name = word.text.split(":")[0]
        if name not in ("off", "none", "builtin", "shared"):
            raise call.fail(f'invalid session cache "{word.text}"', word, hint="off, none, builtin[:size] or shared:name:size")
    return tuple(word.text for word in call.args)


def _old_switch(call: Call) -> bool:
    value = call.args[0].text
    if value not in ("on", "off"):
        raise call.fail(f'invalid value "{value}" in "ssl" directive, it must be "on" or "off"', call.args[0])
    raise_later = call.compilation.problems
    raise_later.warn(
        'the "ssl" directive is deprecated, use the "listen ... ssl" directive instead', call.directive.span
    )
    return value == "on"


class Tls(Settings):
    """Certificates, protocols and sessions of a server."""

    old_switch: bool = directive(
        "ssl",
        where=WHERE,
        takes=custom(_old_switch, syntax="on | off"),
        default=False,
        nginx=PAGE,
        doc="Of configurations written before nginx 1.15: every address of the server speaks TLS.",
    )
    certificates: tuple[str, ...] = directives(
        "ssl_certificate", where=WHERE, takes=conf_path, inherit=WHOLE, nginx=PAGE
    )
    keys: tuple[str, ...] = directives("ssl_certificate_key", where=WHERE, takes=conf_path, inherit=WHOLE, nginx=PAGE)
    password_file: str | None = directive("ssl_password_file", where=WHERE, takes=conf_path, nginx=PAGE)
    protocols: frozenset[str] = directive(
        "ssl_protocols",
        where=WHERE,
        takes=choices(*PROTOCOLS),
        default=frozenset({"TLSv1.2", "TLSv1.3"}),
        nginx=PAGE,
        shown="TLSv1.2 TLSv1.3",
    )
    ciphers: str = directive("ssl_ciphers", where=WHERE, takes=text, default="HIGH:!aNULL:!MD5", nginx=PAGE)
    prefer_server_ciphers: bool = directive(
        "ssl_prefer_server_ciphers", where=WHERE, takes=flag, default=False, nginx=PAGE
    )
    dhparam: str | None = directive("ssl_dhparam", where=WHERE, takes=conf_path, nginx=PAGE)
    curves: str | None = directive(
        "ssl_ecdh_curve", where=WHERE, takes=either("auto", None, text), nginx=PAGE, shown="auto"
    )
    session_cache: tuple[str, ...] = directive(
        "ssl_session_cache",
        where=WHERE,
        takes=custom(_cache, most=2, syntax="off | none | [builtin[:size]] [shared:name:size]"),
        default=("none",),
        nginx=PAGE,
        shown="none",
    )
    session_timeout: float = directive(
        "ssl_session_timeout", where=WHERE, takes=seconds, default=300.0, nginx=PAGE, shown="5m"
    )
    session_tickets: bool = directive("ssl_session_tickets", where=WHERE, takes=flag, default=True, nginx=PAGE)
    verify_client: str = directive(
        "ssl_verify_client",
        where=WHERE,
        takes=choice("on", "off", "optional", "optional_no_ca"),
        default="off",
        nginx=PAGE,
    )
    verify_depth: int = directive("ssl_verify_depth", where=WHERE, takes=number, default=1, nginx=PAGE)
    client_certificate: str | None = directive("ssl_client_certificate", where=WHERE, takes=conf_path, nginx=PAGE)
    trusted_certificate: str | None = directive("ssl_trusted_certificate", where=WHERE, takes=conf_path, nginx=PAGE)
    crl: str | None = directive("ssl_crl", where=WHERE, takes=conf_path, nginx=PAGE)
    reject_handshake: bool = directive("ssl_reject_handshake", where=WHERE, takes=flag, default=False, nginx=PAGE)
    context: Any = None

    def build(self, compilation: Compilation) -> ssl.SSLContext:
        """The context of these settings, made once; raises `ConfigError` at the line that is at fault."""
        if self.context is None:
            from penstock.modules.ssl_context import build

            self.context = build(self, compilation)
        return self.context  # type: ignore[no-any-return]


def secure(compilation: Compilation, listens: list[Listen]) -> None:
    """Give every server that speaks TLS its context. Called when the whole file has been read."""
    for listen in listens:
        for server in listen.servers:
            if server.root[Tls].old_switch:
                listen.options = listen.options.with_ssl()
    for listen in listens:
        if not listen.options.ssl:
            continue
        for server in listen.servers:
            with compilation.collecting():
                _secure(compilation, listen, server)


def _secure(compilation: Compilation, listen: Listen, server: Server) -> None:
    tls = server.root[Tls]
    if server.tls is not None:
        return
    if not tls.certificates:
        if tls.reject_handshake:
            server.tls = tls
            return
        default = listen.default
        if default is not None and server is not default and default.root[Tls].certificates:
            server.tls = default.root[Tls]
            return
        raise ConfigError(
            'no "ssl_certificate" is defined for the "listen ... ssl" directive',
            listen.span if listen.span is not None else server.span,
            hint="add: ssl_certificate /path/to/fullchain.pem; ssl_certificate_key /path/to/key.pem;",
        )
    tls.build(compilation)
    server.tls = tls


_STAPLING = "Python's ssl can not staple OCSP answers; browsers have stopped asking for them"
inert(
    "ssl_stapling",
    "ssl_stapling_file",
    "ssl_stapling_responder",
    "ssl_stapling_verify",
    where=WHERE,
    reason=_STAPLING,
    nginx=PAGE,
    module="ssl",
)
inert("ssl_buffer_size", where=WHERE, reason="records are cut as the socket takes them", nginx=PAGE, module="ssl")
inert("ssl_early_data", where=WHERE, reason="0-RTT data is never accepted", nginx=PAGE, module="ssl")
inert(
    "ssl_certificate_cache",
    "ssl_certificate_compression",
    "ssl_key_log",
    where=WHERE,
    least=1,
    reason="certificates are read once, when the configuration is",
    nginx=PAGE,
    module="ssl",
)
