"""What a backend is asked where its answer may be kept: for all of it, whatever the client wants of it, and whether it
is still what is kept (nginx: ngx_http_proxy_cache_headers and its kin)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from penstock.modules.proxy.head import HeadTemplate, SetHeader, build_uri
from penstock.modules.proxy.request_line import target_of
from penstock.modules.proxy.websocket_heads import without_ours
from penstock.upstream.exchange.outgoing import Prepared

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.config.scope import Compilation, Scope
    from penstock.http.request import Request
    from penstock.modules.proxy.http2 import Http2Heads
    from penstock.modules.proxy.proxy import Proxy
    from penstock.modules.proxy.targets import Destination

OURS = {
    "If-Modified-Since": "$upstream_cache_last_modified",
    "If-Unmodified-Since": "",
    "If-None-Match": "$upstream_cache_etag",
    "If-Match": "",
    "Range": "",
    "If-Range": "",
}
"""What these headers say, unless the location says something of them."""


def missing(compilation: Compilation, given: Iterable[str]) -> list[SetHeader]:
    """Return those of these headers that the location says nothing of; `given` are names in lower case."""
    known = set(given)
    return [
        SetHeader(name, compilation.variables.template(value), not value)
        for name, value in OURS.items()
        if name.lower() not in known
    ]


class KeptHeads:
    """Heads of one location's requests over HTTP/1 and 2. They ask for no upgrade."""

    __slots__ = ("_head", "_http2")

    def __init__(self, proxy: Proxy, scope: Scope) -> None:
        given = without_ours(proxy.sent_headers) if proxy.may_upgrade or proxy.heads is not None else proxy.sent_headers
        headers = (*given, *missing(scope.compilation, (each.name.lower() for each in given)))
        self._head = HeadTemplate(headers, min(proxy.http_version, 11), pass_headers=proxy.pass_request_headers)
        self._http2: Http2Heads | None = None
        if proxy.http2 is not None:
            from penstock.modules.proxy.http2 import Http2Heads

            self._http2 = Http2Heads(proxy, scope, headers)

    def prepare(
        self, proxy: Proxy, request: Request, there: Destination, length: int | None, *, chunked: bool
    ) -> Prepared:
        """Prepare a request by the settings that have this. Raises `ProxyError`."""
        target, written = there.target, proxy.target
        assert written is not None
        uri = build_uri(request, target.uri, written.location, variables=written.target is None)
        if uri is not request.head.target and not (uri.isprintable() and " " not in uri):
            uri = target_of(request, uri, written.span)
        method = request.method if proxy.method is None else proxy.method.of(request)
        if request.method == "HEAD" and proxy.rules.converts_head:
            method = "GET"  # all of the answer is to be kept
        if self._http2 is not None:
            return self._http2.prepare(proxy, request, there, method, uri, length, self._head)
        head = self._head.render(request, method, uri, there.host_header, length, chunked=chunked)
        secure = proxy.secure_for(request, target) if there.secure else None
        return Prepared(there.group, head, method, (target.scheme, uri), secure)


def default_key(proxy: Proxy, request: Request, there: Destination) -> str:
    """Return the key where `proxy_cache_key` says none, which is nginx's: scheme, host and the URI that a backend gets.
    """
    target, written = there.target, proxy.target
    assert written is not None
    uri = build_uri(request, target.uri, written.location, variables=written.target is None)
    return f"{target.scheme}{there.host_header}{uri}"


def prepare_kept(
    proxy: Proxy, request: Request, there: Destination, length: int | None, *, chunked: bool
) -> Prepared:
    """Prepare a request whose answer may be kept (`Caching.prepare_kept`). Raises `ProxyError`."""
    return proxy.kept_heads.prepare(proxy, request, there, length, chunked=chunked)


def finish_kept(proxy: Proxy, scope: Scope) -> None:
    """Make what a location needs to keep answers."""
    proxy.kept_heads = KeptHeads(proxy, scope)
    proxy.kept_policy = replace(proxy.policy, ignore_client_abort=True)
