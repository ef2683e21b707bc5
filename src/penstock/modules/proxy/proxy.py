"""Reverse proxying over HTTP: `proxy_pass` and what belongs to it (nginx: ngx_http_proxy_module).

How requests and answers flow is in `pass_request.py` and `pass_answer.py`, shared with uwsgi and scgi. `head.py` writes
the request's head, `rewrite.py` rewrites redirects and cookies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from penstock.config.addresses import bracket_hint
from penstock.config.errors import ConfigError
from penstock.config.kinds import custom, flag, template
from penstock.config.registry import HTTP_LEVELS, IF_LOCATION, LIMIT_EXCEPT, LOCATION, inert
from penstock.config.scope import Call, Scope
from penstock.config.settings import INNER, directive, directives
from penstock.config.source import Span
from penstock.config.variables import Template, variable
from penstock.http.request import Request
from penstock.modules.cache.path import declare_path
from penstock.modules.core.hints import may_hint
from penstock.modules.core.line_values import one_line
from penstock.modules.proxy.caching import Caching
from penstock.modules.proxy.head import HeadTemplate, SetHeader, build_uri
from penstock.modules.proxy.kept_head import KeptHeads, default_key, finish_kept, prepare_kept
from penstock.modules.proxy.pass_request import Prepared
from penstock.modules.proxy.redial import headers_for, redialler_for
from penstock.modules.proxy.request_line import Method, is_method, target_of
from penstock.modules.proxy.rewrite import (
    CookieFlags,
    HeaderRewrite,
    cookie_flags,
    cookie_rewrite,
    default_redirect,
    no_off,
    redirect_rewrite,
    rewrite_cookie,
    rewrite_first,
)
from penstock.modules.proxy.secure import ProxySecure
from penstock.modules.proxy.targets import Destination, Targets
from penstock.modules.proxy.websocket_heads import Heads, with_redial, without_ours
from penstock.modules.upstream.upstream import upstreams_of
from penstock.modules.websocket.guard import NO_UPGRADE, Sent
from penstock.modules.websocket.websocket import asks
from penstock.observe.errorlog import ERROR, report
from penstock.plan.location import OWN_LOCATION
from penstock.upstream.exchange.target import Target, parse_target

if TYPE_CHECKING:
    from penstock.modules.proxy.http2 import Http2Heads
    from penstock.upstream.peers.group import Group

PAGE = "ngx_http_proxy_module.html"
VERSIONS = {"1.0": 10, "1.1": 11, "2": 20}
URI_NOT_HERE = (
    '"proxy_pass" cannot have URI part in location given by regular expression, or inside predicate location, '
    'or inside named location, or inside "if" statement, or inside "limit_except" block'
)


@dataclass(frozen=True, slots=True)
class ProxyPass:
    """A `proxy_pass` as written: `target`, or only a `template` where it has variables.

    `location` is the name that a URI takes the place of.
    """

    url: str
    target: Target | None
    template: Template
    location: str
    span: Span


def _pass(call: Call) -> ProxyPass:
    word = call.args[0]
    location = call.scope.data[OWN_LOCATION]
    made = call.template(word)
    if made.literal is None:
        return ProxyPass(word.text, None, made, location.name, word.span)
    try:
        target = parse_target(word.text)
    except ValueError as error:
        raise call.fail(str(error), word, hint=_scheme_hint(word.text)) from None
    replaced = location.name
    if location.kind in ("regex", "predicate", "named", "if", "limit_except"):
        replaced = ""
        if target.uri:
            raise call.fail(URI_NOT_HERE, word, hint=f'leave out the "{target.uri}", or rewrite the path before')
    return ProxyPass(word.text, target, made, replaced, word.span)


def _scheme_hint(text: str) -> str | None:
    lower = text.lower()
    if lower.startswith(("ws://", "wss://")):
        secure = "s" if lower.startswith("wss") else ""
        return f"WebSocket begins as HTTP: write http{secure}://{text.partition('://')[2]}"
    if "://" not in text:
        return bracket_hint(text) or f"did you mean: http://{text}"
    return bracket_hint(text)


def _set_header(call: Call) -> SetHeader:
    name, value = call.args
    return SetHeader(name.text, one_line(call, value, name.text), value.text == "")


def _method(call: Call) -> Method:
    word = call.args[0]
    made = call.template(word)
    if made.literal is not None and not is_method(made.literal):
        raise call.fail(f'invalid method "{made.literal}"', word, hint="a word such as GET")
    return Method(made, word.span)


def _version(call: Call) -> int:
    text = call.args[0].text
    if text in VERSIONS:
        return VERSIONS[text]
    raise call.fail(f'invalid value "{text}"', call.args[0], hint="it may be: 1.0, 1.1, 2")


class Proxy(ProxySecure, Caching, prefix="proxy"):
    """Requests passed on over HTTP/1.1, 1.0, or 2."""

    prefix: ClassVar[str] = "proxy"
    page: ClassVar[str] = PAGE

    target: ProxyPass | None = directive(
        "proxy_pass",
        where=LOCATION | IF_LOCATION | LIMIT_EXCEPT,
        takes=custom(_pass, syntax="URL"),
        inherit=INNER,
        nginx=PAGE,
    )
    set_headers: tuple[SetHeader, ...] = directives(
        "proxy_set_header",
        where=HTTP_LEVELS,
        takes=custom(_set_header, least=2, most=2, syntax="field value"),
        nginx=PAGE,
        doc="None is inherited once a level has one of its own. An empty value takes a header out.",
    )
    body: Template | None = directive("proxy_set_body", where=HTTP_LEVELS, takes=template, nginx=PAGE)
    method: Method | None = directive(
        "proxy_method", where=HTTP_LEVELS, takes=custom(_method, syntax="method"), nginx=PAGE
    )
    http_version: int = directive(
        "proxy_http_version",
        where=HTTP_LEVELS,
        takes=custom(_version, syntax="1.0 | 1.1 | 2"),
        default=11,
        nginx=PAGE,
        shown="1.1",
        doc="With `2` requests share connections, with prior knowledge or, to https, by ALPN. WebSockets go there by "
        "RFC 8441 where a backend takes that, else over HTTP/1.1.",
    )
    pass_trailers: bool = directive("proxy_pass_trailers", where=HTTP_LEVELS, takes=flag, default=False, nginx=PAGE)
    redirects: tuple[HeaderRewrite | str, ...] = directives(
        "proxy_redirect",
        where=HTTP_LEVELS,
        takes=custom(redirect_rewrite, most=2, syntax="default | off | redirect replacement"),
        nginx=PAGE,
        shown="default",
    )
    cookie_domains: tuple[HeaderRewrite | str, ...] = directives(
        "proxy_cookie_domain",
        where=HTTP_LEVELS,
        takes=custom(cookie_rewrite, most=2, syntax="off | domain replacement"),
        nginx=PAGE,
        shown="off",
    )
    cookie_paths: tuple[HeaderRewrite | str, ...] = directives(
        "proxy_cookie_path",
        where=HTTP_LEVELS,
        takes=custom(cookie_rewrite, most=2, syntax="off | path replacement"),
        nginx=PAGE,
        shown="off",
    )
    cookie_flags: tuple[CookieFlags | str, ...] = directives(
        "proxy_cookie_flags",
        where=HTTP_LEVELS,
        takes=custom(cookie_flags, most=4, syntax="off | cookie [flag ...]"),
        nginx=PAGE,
        shown="off",
    )

    cache_convert_head: bool = directive(
        "proxy_cache_convert_head", where=HTTP_LEVELS, takes=flag, default=True, nginx=PAGE
    )
    kept_heads: KeptHeads
    default_key, prepare_kept = default_key, prepare_kept

    def finish(self, scope: Scope) -> None:
        """Compile heads, rewriting rules and target, for plain requests and for handshakes. Raises `ConfigError`."""
        super().finish(scope)
        self.takes_chunks = self.http_version >= 11
        self.sets_body = self.body is not None
        own = self.set_headers
        self.sent_headers = with_redial(scope, headers_for(scope, own))
        headers = self.pass_request_headers
        version = min(self.http_version, 11)
        self.head = HeadTemplate(self.sent_headers, version, pass_headers=headers)
        self.heads = None
        self.plain = self.head
        self.may_tear = self.head.may_promise and self.http_version < 20
        self.may_upgrade = self.head.may_upgrade
        if self.may_upgrade:
            self.plain = HeadTemplate(without_ours(self.sent_headers), version, pass_headers=headers)
        self.http2: Http2Heads | None = None
        if self.carries_websockets:
            self.heads = Heads(scope.compilation, self.sent_headers, version, pass_headers=headers)
        self.judges = self.guard is not None and (self.may_upgrade or self.heads is not None)
        self.domains = no_off(self.cookie_domains, self.origin("cookie_domains"))
        self.paths = no_off(self.cookie_paths, self.origin("cookie_paths"))
        self.flags = no_off(self.cookie_flags, self.origin("cookie_flags"))
        self.rewrites = self._rewrites()
        if self.target is not None:
            upstreams = upstreams_of(scope.compilation)
            self.targets = Targets(self.target.target, self.target.template, upstreams, self.target.span)
            if self.http_version == 20:
                from penstock.modules.proxy.http2 import begin

                begin(self, scope)
            self.finish_secure(scope)
        if self.caches:
            finish_kept(self, scope)

    def _rewrites(self) -> tuple[HeaderRewrite, ...]:
        given = self.redirects
        span = self.origin("redirects")
        if "off" in given:
            if len(given) > 1:
                raise ConfigError('"proxy_redirect" directive is duplicate', span, hint='"off" stands alone')
            return ()
        target = self.target
        made: list[HeaderRewrite] = []
        for each in given or ("default",):
            if isinstance(each, HeaderRewrite):
                made.append(each)
            elif target is not None:
                if target.target is not None:
                    made.append(default_redirect(target.url, target.target.uri, target.location))
                elif given and "target" in self.origins and "redirects" in self.origins:
                    raise ConfigError(
                        '"proxy_redirect default" cannot be used with "proxy_pass" directive with variables', span
                    )
        return tuple(made)

    redialler = redialler_for

    # -- the request ------------------------------------------------------------------------------------------------

    def set_body(self, request: Request) -> bytes | None:
        """Return the body that `proxy_set_body` puts in place of the client's."""
        if self.body is None or (self.heads is not None and asks(request)):
            return None
        return self.body.evaluate(request).encode("latin-1")

    def prepare(self, request: Request, there: Destination, length: int | None, *, chunked: bool) -> Prepared:
        """Prepare the group, and the request's head. Raises `ProxyError`."""
        target = there.target
        written = self.target
        assert written is not None
        uri = build_uri(request, target.uri, written.location, variables=written.target is None)
        if uri is not request.head.target and not (uri.isprintable() and " " not in uri):
            uri = target_of(request, uri, written.span)
        method = request.method if self.method is None else self.method.of(request)
        template = self.head
        if "upgrade" in request.head.fields:
            template, method = self._for_upgrade(request, method)
        elif self.heads is not None:
            template = self.heads.plain
        elif self.may_upgrade and self.goes_plain(request):
            template = self.plain
        if self.http2 is not None:
            return self.http2.prepare(self, request, there, method, uri, length, template)
        head = template.render(request, method, uri, there.host_header, length, chunked=chunked)
        return Prepared(
            there.group,
            head,
            method,
            (target.scheme, uri),
            self.secure_for(request, target) if there.secure else None,
            torn=self.may_tear and template is self.head and self._tears(request, there.group),
            switches=there.group.spares is not None and not there.secure and self.switches(request, template),
        )

    def switches(self, request: Request, template: HeadTemplate) -> bool:
        """Return whether a request goes out as a handshake for a WebSocket."""
        if "upgrade" not in request.head.fields or request.parent is not None or not asks(request):
            return False
        return template is self.heads.handshake if self.heads is not None else template.sends(request, "upgrade")

    def _tears(self, request: Request, group: Group) -> bool:
        """Whether the connection is none that could be kept after this request (`Prepared.torn`)."""
        pool = group.pool
        return pool is not None and not pool.options.written and self.head.tears(request)

    def _for_upgrade(self, request: Request, method: str) -> tuple[HeadTemplate, str]:
        """The head and the method for a request that wants to switch protocols."""
        if self.heads is None:
            if self.may_upgrade and self.goes_plain(request):
                return self.plain, method
            if not self.head.sends(request, "upgrade"):
                self.upgrade_lost(request)
            return self.head, method
        if asks(request) and not self.goes_plain(request):
            return self.heads.handshake, "GET"
        return self.heads.plain, method

    def upgrade_lost(self, request: Request) -> None:
        """Say once that a WebSocket handshake came here and will reach the backend as an ordinary request."""
        notes = request.location.notes
        if "upgrade lost" in notes or request.head.fields["upgrade"].lower() != "websocket":
            return
        notes.add("upgrade lost")
        if not may_hint(request, "upgrade lost"):
            return
        span = self.origin("target")
        where = f" (proxy_pass in {span.file}:{span.line})" if span is not None else ""
        report(
            request,
            ERROR,
            "a WebSocket handshake is passed on without its Upgrade header, so the backend will refuse it"
            f"{where}; this location needs: websocket auto; or: proxy_http_version 1.1; proxy_set_header Upgrade "
            '$http_upgrade; proxy_set_header Connection "upgrade";',
        )

    def sent(self, request: Request, prepared: Prepared) -> Sent:
        """Do what `Passing.sent` does; where `websocket on | auto` holds, only a client's own handshake goes out as
        one."""
        if self.heads is not None and "upgrade" not in request.head.fields:
            return NO_UPGRADE
        return super().sent(request, prepared)

    # -- the answer -------------------------------------------------------------------------------------------------

    def rewrite_location(self, request: Request, value: str) -> str:
        """Rewrite a Location by `proxy_redirect`."""
        return rewrite_first(self.rewrites, request, value)

    def rewrite_refresh(self, request: Request, value: str) -> str:
        """Rewrite the address in a Refresh by `proxy_redirect`."""
        at = value.lower().find("url=")
        if at < 0:
            return value
        at += 4
        return value[:at] + rewrite_first(self.rewrites, request, value[at:])

    def rewrite_cookie(self, request: Request, value: str) -> str:
        """Rewrite a Set-Cookie by `proxy_cookie_domain`, `proxy_cookie_path`, `proxy_cookie_flags`."""
        if self.domains or self.paths or self.flags:
            return rewrite_cookie(request, value, self.domains, self.paths, self.flags)
        return value


Proxy.pass_on.auto_redirect = True


def _destination(request: Request) -> Destination | None:
    proxy = request.location[Proxy]
    return None if proxy.target is None else proxy.targets.known(request)


@variable("proxy_host", changeable=True)
def proxy_host(request: Request) -> str | None:
    """Name and port of the backend, as `proxy_pass` writes them."""
    there = _destination(request)
    return None if there is None else there.host_header


@variable("proxy_port", changeable=True)
def proxy_port(request: Request) -> str | None:
    there = _destination(request)
    return None if there is None else there.target.shown_port


@variable("proxy_add_x_forwarded_for")
def proxy_add_x_forwarded_for(request: Request) -> str | None:
    """The client's X-Forwarded-For with its address added."""
    given = request.head.joined("x-forwarded-for")
    address: str = request.connection.client_address
    return f"{given}, {address}" if given else address


declare_path("proxy", PAGE)
inert(
    "proxy_headers_hash_max_size",
    "proxy_headers_hash_bucket_size",
    where=HTTP_LEVELS,
    reason="the tables of headers size themselves",
    nginx=PAGE,
    module="proxy",
)
inert("proxy_send_lowat", where=HTTP_LEVELS, reason="Linux has no such thing either", nginx=PAGE, module="proxy")
