"""Passing requests to FastCGI servers (nginx: ngx_http_fastcgi_module), and what a URI says of a script.

`$fastcgi_script_name` and `$fastcgi_path_info` may be read everywhere: by `try_files`, `set`, `proxy_set_header`.
"""

from __future__ import annotations

from typing import ClassVar

from penstock.config.kinds import custom, flag, text
from penstock.config.regex.pcre import MatchFailed, Regex
from penstock.config.registry import HTTP_LEVELS, inert
from penstock.config.scope import Call, Scope
from penstock.config.settings import directive, directives, last
from penstock.config.variables import variable
from penstock.http.request import Request
from penstock.modules.cache.path import declare_path
from penstock.modules.core.locations import compiled
from penstock.modules.gateways.gateway import Gateway
from penstock.modules.proxy.pass_request import Prepared
from penstock.modules.proxy.targets import Destination
from penstock.observe.errorlog import ALERT, report
from penstock.upstream.exchange.wire import BackendProtocol
from penstock.upstream.fastcgi.exchange import FastCgiExchange, FastCgiPrepared
from penstock.upstream.fastcgi.framing import FASTCGI
from penstock.upstream.fastcgi.records import PARAMS, begin, name_value, record, records

PAGE = "ngx_http_fastcgi_module.html"
BEGIN = {keep: begin(keep=keep) for keep in (False, True)}
END_OF_PARAMS = record(PARAMS, b"")


def _split(call: Call) -> Regex:
    word = call.args[0]
    made = compiled(call.scope, word, caseless=False)
    if made.groups != 2:
        raise call.fail(f'pattern "{word.text}" must have 2 captures', word, hint="^(.+\\.php)(/.*)$ is the usual one")
    return made


class FastCgi(Gateway, prefix="fastcgi"):
    """Requests passed on as FastCGI: parameters and body in records."""

    prefix: ClassVar[str] = "fastcgi"
    page: ClassVar[str] = PAGE
    wire: ClassVar[BackendProtocol] = FASTCGI
    exchange = FastCgiExchange
    takes_chunks = True
    writes_chunks = False

    index: str = directive("fastcgi_index", where=HTTP_LEVELS, takes=text, default="", nginx=PAGE)
    pattern: Regex | None = directive(
        "fastcgi_split_path_info",
        where=HTTP_LEVELS,
        takes=custom(_split, syntax="regex"),
        nginx=PAGE,
        again=last,
        doc="The first capture is the script, the second the path behind it.",
    )
    keep_conn: bool = directive("fastcgi_keep_conn", where=HTTP_LEVELS, takes=flag, default=False, nginx=PAGE)
    caught: tuple[str, ...] = directives(
        "fastcgi_catch_stderr",
        where=HTTP_LEVELS,
        takes=text,
        nginx=PAGE,
        doc="An answer before whose head the server says this in its STDERR is a bad one (`invalid_header`).",
    )

    def finish(self, scope: Scope) -> None:
        """Compile what is the same for each request; nothing in FastCGI switches protocols."""
        super().finish(scope)
        self.judges = False  # nothing that is said in FastCGI switches protocols
        self.begin = BEGIN[self.keep_conn]
        self.caught_bytes = tuple(each.encode("latin-1") for each in self.caught if each)

    def prepare(self, request: Request, there: Destination, length: int | None, *, chunked: bool) -> Prepared:
        """Prepare BEGIN_REQUEST and PARAMS in records (FastCGI specification, section 5). Raises `ProxyError`."""
        pairs = b"".join(
            name_value(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.parameters(request)
        )
        head = self.begin + records(PARAMS, pairs) + END_OF_PARAMS
        label = there.target.scheme, ""
        return FastCgiPrepared(
            there.group, head, request.method, label, keeps=self.keep_conn, caught=self.caught_bytes
        )

    def split(self, request: Request) -> tuple[str, str]:
        """Split a URI into script and path; neither where that can not be told in time."""
        try:
            found = self.pattern.match(request.uri) if self.pattern is not None else None
        except MatchFailed as error:
            report(request, ALERT, str(error))
            return "", ""
        if found is None:
            return request.uri, ""
        return found.group(1) or "", found.group(2) or ""


@variable("fastcgi_script_name")
def fastcgi_script_name(request: Request) -> str:
    """The script of the URI; of one that ends with a slash, `fastcgi_index` in it."""
    settings = request.location[FastCgi]
    script, _ = settings.split(request)
    return script + settings.index if script.endswith("/") else script


@variable("fastcgi_path_info")
def fastcgi_path_info(request: Request) -> str:
    """What stands behind the script in the URI."""
    return request.location[FastCgi].split(request)[1]


FastCgi.pass_on.auto_redirect = True
declare_path("fastcgi", PAGE)
inert("fastcgi_send_lowat", where=HTTP_LEVELS, reason="Linux has no such thing either", nginx=PAGE, module="fastcgi")
