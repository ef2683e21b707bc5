"""Requests for backends that are spoken to over HTTP/2: the head as fields (nginx: ngx_http_proxy_v2_module).

What goes out is made of the request as it was understood, field by field. What belongs to one hop is never sent,
whoever asks for it; a value that would end its field early fails the request.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from penstock.config.errors import ConfigError
from penstock.http.errors import excerpt
from penstock.http.fields import LOWER
from penstock.http.h2.fields import field
from penstock.modules.proxy.head import HOP_BY_HOP, HeadTemplate, SetHeader
from penstock.modules.proxy.websocket_heads import NEEDED
from penstock.observe.errorlog import ERROR, report
from penstock.upstream.errors import FaultSide, ProxyError
from penstock.upstream.h2.exchange import Http2Exchange, Http2Prepared
from penstock.upstream.h2.framing import HTTP2
from penstock.upstream.h2.websocket import Handshake, Http2Handshake

if TYPE_CHECKING:
    from penstock.config.scope import Scope
    from penstock.config.variables import Template
    from penstock.http.request import Request
    from penstock.modules.proxy.proxy import Proxy
    from penstock.modules.proxy.targets import Destination
    from penstock.upstream.exchange.exchange import Exchange
    from penstock.upstream.exchange.outgoing import Local, Prepared
    from penstock.upstream.exchange.policy import Policy
    from penstock.upstream.exchange.sending import OutgoingBody

ALPN = ("h2",)
ALPN_HTTP1 = ("http/1.1",)
NEVER = HOP_BY_HOP | {"http2-settings"}
"""Headers that have no place in a request of HTTP/2, or are written anew."""
_NAME = re.compile(r"[^\x00-\x20\x7f-\xff:A-Z]+", re.ASCII)
_NOT_IN_PATH = re.compile(r"[\x00-\x20\x7f]")
_NOT_IN_VALUE = re.compile(r"[\x00\r\n]")


def can_be_named(name: str) -> bool:
    """Return whether a header of HTTP/2 can have this name, in small letters."""
    return _NAME.fullmatch(name.lower()) is not None


def begin(proxy: Proxy, scope: Scope) -> None:
    """Let a location speak HTTP/2 to its backends. Raises `ConfigError`."""
    proxy.http2 = Http2Heads(proxy, scope, proxy.sent_headers)
    proxy.policy = replace(proxy.policy, wire=HTTP2)
    proxy.exchange = proxy.storing(exchange_for)
    proxy.writes_chunks = False
    proxy.negotiates = True


def exchange_for(
    request: Request, plan: Prepared, policy: Policy, body: OutgoingBody, bind: Local | None = None
) -> Exchange:
    """Make the exchange that tries a request at backends."""
    if isinstance(plan, Handshake):
        return Http2Handshake(request, plan, policy, body, bind)
    assert isinstance(plan, Http2Prepared)
    return Http2Exchange(request, plan, policy, body, bind)


class Http2Heads:
    """The heads of one location's requests."""

    __slots__ = ("_handshake", "_plain")

    def __init__(self, proxy: Proxy, scope: Scope, headers: tuple[SetHeader, ...]) -> None:
        for each in headers:
            if not can_be_named(each.name):
                raise ConfigError(
                    f'"{excerpt(each.name)}" can not be the name of a header in HTTP/2', proxy.origin("set_headers")
                )
        self._plain = FieldsTemplate(headers, pass_headers=proxy.pass_request_headers)
        self._handshake = self._plain
        if not proxy.pass_request_headers and proxy.heads is not None:
            template = scope.compilation.variables.template
            given = {each.name.lower() for each in headers}
            needed = [
                SetHeader(name, template("$http_" + name.lower().replace("-", "_")), False)
                for name in NEEDED
                if name.lower() not in given
            ]
            self._handshake = FieldsTemplate((*headers, *needed), pass_headers=False)

    def prepare(
        self,
        proxy: Proxy,
        request: Request,
        there: Destination,
        method: str,
        uri: str,
        length: int | None,
        template: HeadTemplate,
    ) -> Prepared:
        """Prepare the request as it goes out, by the settings that have this; `template` writes it in HTTP/1.1. Raises
        `ProxyError`."""
        target = there.target
        if not uri:
            raise _unfit(request, "an empty URI")
        secure = proxy.secure_for(request, target, ALPN) if there.secure else None
        identity = proxy.identity(request, target) if there.secure else ()
        scheme = "https" if there.secure else "http"
        label = (target.scheme, uri)
        if proxy.switches(request, template):
            start = (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", scheme), (":path", uri)
            return Handshake(
                there.group,
                template.render(request, "GET", uri, there.host_header, None, chunked=False),
                "GET",
                label,
                secure,
                self._handshake.render(request, start, there.host_header, without="sec-websocket-key"),
                None,
                identity,
                proxy.secure_for(request, target, ALPN_HTTP1) if there.secure else None,
            )
        pseudo = (":method", method), (":scheme", scheme), (":path", uri)
        fields = self._plain.render(request, pseudo, there.host_header)
        head = f"{method} {uri} HTTP/1.1\r\n\r\n".encode("latin-1")
        return Http2Prepared(there.group, head, method, label, secure, fields, length, identity)


class FieldsTemplate:
    """The fields of one location's requests: those that were set, then the client's own."""

    __slots__ = ("_host", "_own", "_pass_headers", "_skip")

    def __init__(self, headers: tuple[SetHeader, ...], *, pass_headers: bool) -> None:
        names = [each.name.lower() for each in headers]
        self._pass_headers = pass_headers
        self._skip = NEVER.union(names)
        hosts = [each.value for each in headers if each.name.lower() == "host"]
        self._host = hosts[-1] if hosts else None
        self._own: list[tuple[str, Template]] = [
            (name, each.value)
            for name, each in zip(names, headers, strict=True)
            if not each.empty and (name not in NEVER or name == "te")
        ]

    def render(
        self, request: Request, pseudo: tuple[tuple[str, str], ...], host: str, *, without: str = ""
    ) -> bytes:
        """Write the head as HPACK does, without a length. `host` is the default for `:authority`. Raises `ProxyError`.
        """
        if self._host is not None:
            host = self._host.evaluate(request) or host
        if _NOT_IN_PATH.search(host):
            raise _unfit(request, f'the host "{excerpt(host)}"')
        parts = [field(name, value) for name, value in pseudo]
        parts.append(field(":authority", host))
        for name, template in self._own:
            value = template.evaluate(request).strip(" \t")
            if not value or (name == "te" and value.lower() != "trailers"):
                continue
            if _NOT_IN_VALUE.search(value):
                raise _unfit(request, f'the value of "{name}", "{excerpt(value)}",')
            parts.append(field(name, value))
        if self._pass_headers:
            skip = self._skip
            for name, value in request.head.headers:
                key = LOWER[name]
                if key not in skip and key != without and _NAME.fullmatch(key) and not _NOT_IN_VALUE.search(value):
                    parts.append(field(key, value))
        return b"".join(parts)


def _unfit(request: Request, what: str) -> ProxyError:
    report(request, ERROR, f"{what} can not be sent over HTTP/2")
    return ProxyError(FaultSide.INTERNAL, 500, "", "")
