"""The http core: what a server and a location are made of (nginx: ngx_http_core_module).

`server`, `listen`, `server_name` are in `server_blocks.py`, `location` and `limit_except` in `locations.py`,
the places of files in `core/document_root.py`. Here are the limits and timeouts of the client's side.
"""

from __future__ import annotations

from penstock.config.errors import ConfigError
from penstock.config.key import Key
from penstock.config.kinds import (
    buffers,
    choice,
    choices,
    converted,
    custom,
    flag,
    number,
    offset,
    pool_size,
    rate,
    seconds,
    size,
    text,
)
from penstock.config.registry import (
    HTTP,
    HTTP_LEVELS,
    IF_LOCATION,
    MAIN,
    SERVER,
    STREAM,
    STREAM_LEVELS,
    block,
    inert,
)
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directive, united
from penstock.config.tree import Directive
from penstock.config.values import seconds as to_seconds
from penstock.config.values import whole_seconds
from penstock.config.variables import Template
from penstock.modules.core.files.symlinks import SymlinkRule, read_rule
from penstock.modules.core.temp_paths import temp_path
from penstock.upstream.exchange.temp_file import TempFolder

HTTP_SCOPE: Key[Scope] = Key("http")

PAGE = "ngx_http_core_module.html"


def _keepalive_timeout(call: Call) -> tuple[float, int | None]:
    header = converted(call, call.args[1], whole_seconds) if len(call.args) > 1 else None
    return converted(call, call.args[0], to_seconds), header


def _tokens(call: Call) -> str:
    word = call.args[0].text
    if word not in ("on", "off", "build"):
        raise call.fail(f'invalid value "{word}" in "{call.name}" directive', call.args[0], hint="on, off or build")
    return word


def _in_file(call: Call) -> str:
    word = call.args[0].text
    if word not in ("on", "off", "clean"):
        raise call.fail(f'invalid value "{word}" in "{call.name}" directive', call.args[0], hint="on, clean or off")
    return word


_BUFFERS = "memory is taken as it is needed and given back at once"


class HttpCore(Settings):
    """A client's connection and request: limits, timeouts, and the form of answers."""

    client_header_timeout: float = directive(
        "client_header_timeout", where=HTTP | SERVER, takes=seconds, default=60.0, nginx=PAGE, shown="60s"
    )
    client_header_buffer_size: int = directive(
        "client_header_buffer_size", where=HTTP | SERVER, takes=size, default=1024, nginx=PAGE, shown="1k"
    )
    large_client_header_buffers: tuple[int, int] = directive(
        "large_client_header_buffers",
        where=HTTP | SERVER,
        takes=buffers,
        default=(4, 8192),
        nginx=PAGE,
        shown="4 8k",
    )
    max_headers: int = directive("max_headers", where=HTTP | SERVER, takes=number, default=1000, nginx=PAGE)
    ignore_invalid_headers: bool = directive(
        "ignore_invalid_headers", where=HTTP | SERVER, takes=flag, default=True, nginx=PAGE
    )
    underscores_in_headers: bool = directive(
        "underscores_in_headers", where=HTTP | SERVER, takes=flag, default=False, nginx=PAGE
    )
    merge_slashes: bool = directive("merge_slashes", where=HTTP | SERVER, takes=flag, default=True, nginx=PAGE)
    client_body_timeout: float = directive(
        "client_body_timeout", where=HTTP_LEVELS, takes=seconds, default=60.0, nginx=PAGE, shown="60s"
    )
    client_max_body_size: int = directive(
        "client_max_body_size", where=HTTP_LEVELS, takes=offset, default=1 << 20, nginx=PAGE, shown="1m"
    )
    client_body_buffer_size: int = directive(
        "client_body_buffer_size", where=HTTP_LEVELS, takes=size, default=16384, nginx=PAGE, shown="8k|16k"
    )
    client_body_in_file_only: str = directive(
        "client_body_in_file_only",
        where=HTTP_LEVELS,
        takes=custom(_in_file, syntax="on | clean | off"),
        default="off",
        nginx=PAGE,
    )
    client_body_temp_path: TempFolder | None = directive(
        "client_body_temp_path",
        where=HTTP_LEVELS,
        takes=temp_path,
        nginx=PAGE,
        shown="client_body_temp",
        doc="The default is below the prefix, or below /var/cache/penstock where the configuration is that of the "
        "system; it is made where requests are passed on.",
    )
    send_timeout: float = directive(
        "send_timeout", where=HTTP_LEVELS, takes=seconds, default=60.0, nginx=PAGE, shown="60s"
    )
    keepalive_timeout: tuple[float, int | None] = directive(
        "keepalive_timeout",
        where=HTTP_LEVELS,
        takes=custom(_keepalive_timeout, most=2, syntax="timeout [header_timeout]"),
        default=(75.0, None),
        nginx=PAGE,
        shown="75s",
    )
    keepalive_requests: int = directive(
        "keepalive_requests", where=HTTP_LEVELS, takes=number, default=1000, nginx=PAGE
    )
    keepalive_time: float = directive(
        "keepalive_time", where=HTTP_LEVELS, takes=seconds, default=3600.0, nginx=PAGE, shown="1h"
    )
    keepalive_min_timeout: float = directive(
        "keepalive_min_timeout", where=HTTP_LEVELS, takes=seconds, default=0.0, nginx=PAGE, shown="0",
        inert="kept connections are never closed early to make room",
    )
    keepalive_disable: frozenset[str] = directive(
        "keepalive_disable",
        where=HTTP_LEVELS,
        takes=choices("none", "msie6", "safari"),
        default=frozenset({"msie6"}),
        nginx=PAGE,
        shown="msie6",
        again=united,
    )
    lingering_close: str = directive(
        "lingering_close", where=HTTP_LEVELS, takes=choice("off", "on", "always"), default="on", nginx=PAGE
    )
    lingering_time: float = directive(
        "lingering_time", where=HTTP_LEVELS, takes=seconds, default=30.0, nginx=PAGE, shown="30s"
    )
    lingering_timeout: float = directive(
        "lingering_timeout", where=HTTP_LEVELS, takes=seconds, default=5.0, nginx=PAGE, shown="5s"
    )
    reset_timedout_connection: bool = directive(
        "reset_timedout_connection", where=HTTP_LEVELS, takes=flag, default=False, nginx=PAGE
    )
    tcp_nodelay: bool = directive(
        "tcp_nodelay", where=HTTP_LEVELS | STREAM_LEVELS, takes=flag, default=True, nginx=PAGE
    )
    sendfile: bool = directive("sendfile", where=HTTP_LEVELS | IF_LOCATION, takes=flag, default=False, nginx=PAGE)
    chunked_transfer_encoding: bool = directive(
        "chunked_transfer_encoding", where=HTTP_LEVELS, takes=flag, default=True, nginx=PAGE
    )
    server_tokens: str = directive(
        "server_tokens", where=HTTP_LEVELS, takes=custom(_tokens, syntax="on | off | build"), default="on", nginx=PAGE
    )
    absolute_redirect: bool = directive(
        "absolute_redirect", where=HTTP_LEVELS, takes=flag, default=True, nginx=PAGE
    )
    server_name_in_redirect: bool = directive(
        "server_name_in_redirect", where=HTTP_LEVELS, takes=flag, default=False, nginx=PAGE
    )
    port_in_redirect: bool = directive("port_in_redirect", where=HTTP_LEVELS, takes=flag, default=True, nginx=PAGE)
    recursive_error_pages: bool = directive(
        "recursive_error_pages", where=HTTP_LEVELS, takes=flag, default=False, nginx=PAGE
    )
    log_not_found: bool = directive("log_not_found", where=HTTP_LEVELS, takes=flag, default=True, nginx=PAGE)
    log_subrequest: bool = directive("log_subrequest", where=HTTP_LEVELS, takes=flag, default=False, nginx=PAGE)
    default_type: str = directive("default_type", where=HTTP_LEVELS, takes=text, default="text/plain", nginx=PAGE)
    etag: bool = directive("etag", where=HTTP_LEVELS, takes=flag, default=True, nginx=PAGE)
    if_modified_since: str = directive(
        "if_modified_since", where=HTTP_LEVELS, takes=choice("off", "exact", "before"), default="exact", nginx=PAGE
    )
    max_ranges: int | None = directive(
        "max_ranges", where=HTTP_LEVELS, takes=number, nginx=PAGE, doc="Unset: as many as the client asks for."
    )
    satisfy: str = directive("satisfy", where=HTTP_LEVELS, takes=choice("all", "any"), default="all", nginx=PAGE)
    auth_delay: float = directive(
        "auth_delay",
        where=HTTP_LEVELS,
        takes=seconds,
        default=0.0,
        nginx=PAGE,
        shown="0",
        doc="How long a 401 is held back, against guessing.",
    )
    limit_rate: Template | None = directive(
        "limit_rate", where=HTTP_LEVELS | IF_LOCATION, takes=rate, nginx=PAGE, shown="0"
    )
    limit_rate_after: Template | None = directive(
        "limit_rate_after", where=HTTP_LEVELS | IF_LOCATION, takes=rate, nginx=PAGE, shown="0"
    )
    connection_pool_size: int = directive(
        "connection_pool_size",
        where=HTTP | SERVER,
        takes=pool_size,
        default=512,
        nginx=PAGE,
        shown="512",
        inert=_BUFFERS,
    )
    msie_padding: bool = directive(
        "msie_padding", where=HTTP_LEVELS, takes=flag, default=True, nginx=PAGE, inert="no living browser needs it"
    )
    msie_refresh: bool = directive("msie_refresh", where=HTTP_LEVELS, takes=flag, default=False, nginx=PAGE)
    links: SymlinkRule | None = directive(
        "disable_symlinks",
        where=HTTP_LEVELS,
        takes=custom(read_rule, most=2, syntax="off | on | if_not_owner [from=part]"),
        nginx=PAGE,
        shown="off",
        doc="A path with a link that may not be there is 403: any link, or one whose owner is another one than that of "
        "what it leads to. `from` is what paths begin with that is not looked at.",
    )

    def check_buffers(self) -> None:
        """Raise `ConfigError` where the settings of a server have sizes that nginx refuses beside each other."""
        if self.large_client_header_buffers[1] < self.connection_pool_size:
            raise ConfigError(
                'the "large_client_header_buffers" size must be equal to or greater than "connection_pool_size"',
                self.origin("large_client_header_buffers") or self.origin("connection_pool_size"),
            )


@block("http", where=MAIN, nginx=PAGE)
def http(scope: Scope, directive: Directive) -> None:
    """All that is spoken over HTTP."""
    if HTTP_SCOPE in scope.data:
        raise ConfigError('"http" directive is duplicate', directive.name.span)
    inner = scope.data[HTTP_SCOPE] = scope.child(HTTP, directive)
    inner.walk(directive.block or ())


inert(
    "variables_hash_max_size",
    "variables_hash_bucket_size",
    where=HTTP | STREAM,
    reason=_BUFFERS,
    nginx=PAGE,
    module="http_core",
)
inert(
    "request_pool_size",
    where=HTTP | SERVER,
    reason=_BUFFERS,
    nginx=PAGE,
    module="http_core",
)
inert(
    "server_names_hash_max_size",
    "server_names_hash_bucket_size",
    where=HTTP | STREAM,
    reason=_BUFFERS,
    nginx=PAGE,
    module="http_core",
)
inert(
    "types_hash_max_size",
    "types_hash_bucket_size",
    "output_buffers",
    "postpone_output",
    "read_ahead",
    "client_body_in_single_buffer",
    "subrequest_output_buffer_size",
    where=HTTP_LEVELS,
    reason=_BUFFERS,
    nginx=PAGE,
    module="http_core",
)
inert(
    "sendfile_max_chunk",
    "send_lowat",
    "tcp_nopush",
    where=HTTP_LEVELS,
    reason="a small answer leaves in one write, a large one in bounded ones",
    nginx=PAGE,
    module="http_core",
)
inert(
    "aio",
    "aio_write",
    "directio",
    "directio_alignment",
    "open_file_cache",
    "open_file_cache_valid",
    "open_file_cache_min_uses",
    "open_file_cache_errors",
    "open_file_cache_events",
    where=HTTP_LEVELS,
    reason="files go to the socket through the kernel's page cache",
    nginx=PAGE,
    module="http_core",
)
