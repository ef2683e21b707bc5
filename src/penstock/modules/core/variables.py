"""Variables of a request, its connection and its server (nginx: ngx_http_core_module, embedded variables).

Those of the logs are in `log.py`, of the answer in `logs/answer_variables.py`, of TLS in `tls/variables.py`.
"""

from __future__ import annotations

import os
import re
from binascii import a2b_base64
from functools import cache, lru_cache

from penstock.config.os_errors import os_failure
from penstock.config.values import network, size
from penstock.config.variables import Getter, family, inlined, of_lines, variable
from penstock.http.request import Request
from penstock.http.seen_heads import OWN
from penstock.http.uri import arg
from penstock.modules.core.document_root import Files
from penstock.modules.core.http_core import HttpCore
from penstock.observe.errorlog import CRIT, ERROR, report

NGINX_VERSION = "1.31.5"
"""The nginx whose language this program speaks."""


# What the client sent.


@variable("request")
@inlined("head.line or None", recurs=True)
def request_line(request: Request) -> str | None:
    return request.head.line or None


@variable("request_uri")
def request_uri(request: Request) -> str | None:
    return request.head.target or None


@variable("request_method")
def request_method(request: Request) -> str | None:
    return request.main.method or None


@variable("server_protocol")
def server_protocol(request: Request) -> str | None:
    return request.head.protocol or None


@variable("uri", "document_uri")
def uri(request: Request) -> str:
    return request.uri


def _set_args(request: Request, value: str) -> None:
    request.args = value
    request.valid_unparsed = False


@variable("args", set=_set_args)
def args(request: Request) -> str | None:
    return request.args or None


@variable("query_string")
def query_string(request: Request) -> str | None:
    return request.args or None


@variable("is_args")
def is_args(request: Request) -> str:
    return "?" if request.args else ""


@family("arg_")
def argument(name: str) -> Getter:
    return lambda request: arg(request.args, name)


@variable("host")
@of_lines(lambda: True)
def host(request: Request) -> str:
    return request.host or request.server.name


@variable("request_port")
def request_port(request: Request) -> str:
    return _port(request.head.port)


@variable("is_request_port")
def is_request_port(request: Request) -> str:
    return ":" if request.head.port else ""


def _port(number: int) -> str:
    return str(number) if number else ""


@family("http_")
def header(name: str) -> Getter:
    """All values of a header, joined. An underscore in the name stands for a hyphen, or for itself."""
    key = name.replace("_", "-")

    def get(request: Request) -> str | None:
        head = request.head
        value = head.joined(key) if head.repeated else head.fields.get(key)
        if value is None or name in head.fields:
            return _in_any_spelling(request, name)
        return value

    def get_plain(request: Request) -> str | None:
        head = request.head
        return head.joined(key) if head.repeated else head.fields.get(key)

    same = of_lines(lambda: key not in OWN)
    if key == name:
        return same(inlined(f"fields.get({key!r}) if not head.repeated else get(request)", recurs=True)(get_plain))
    simply = f"{key!r} in fields and {name!r} not in fields and not head.repeated"
    return same(inlined(f"fields[{key!r}] if {simply} else get(request)", recurs=True)(get))


def _in_any_spelling(request: Request, name: str) -> str | None:
    core = request.server.root[HttpCore]
    if not core.underscores_in_headers and core.ignore_invalid_headers:
        return None  # no header with an underscore was taken
    headers = request.head.headers
    values = [value for key, value in headers if key.lower().replace("-", "_") == name]
    return ", ".join(values) if values else None


for _name in ("host", "user_agent", "referer", "via", "x_forwarded_for", "cookie"):
    variable(f"http_{_name}")(header(_name))


@variable("content_type")
def content_type(request: Request) -> str | None:
    return request.head.joined("content-type")


@variable("content_length")
def content_length(request: Request) -> str | None:
    """As the client said it, or as it was counted when a chunked body has been read."""
    value = request.head.fields.get("content-length")
    if value is None and request.head.chunked and request.body.done:
        return str(request.body.received)
    return value


@family("cookie_")
def cookie(name: str) -> Getter:
    """A cookie's value. Names are told apart without regard to case."""
    pattern = re.compile(rf"(?:^|;) *{re.escape(name)} *= *([^;]*)", re.ASCII | re.IGNORECASE)

    def get(request: Request) -> str | None:
        text = request.head.joined("cookie")
        match = pattern.search(text) if text else None
        return match[1] if match else None

    return get


_BASE64 = re.compile(r"[A-Za-z0-9+/]*", re.ASCII)


@variable("remote_user")
@inlined("get(request) if 'authorization' in fields or head.method == 'CONNECT' else None", recurs=True)
def remote_user(request: Request) -> str | None:
    """The name in `Authorization: Basic`."""
    given = credentials(request)
    return None if given is None else given[0]


def credentials(request: Request) -> tuple[str, str] | None:
    """Name and password in `Authorization: Basic` (RFC 7617)."""
    head = request.head
    value = head.fields.get("proxy-authorization" if head.method == "CONNECT" else "authorization")
    if value is None or value[:6].lower() != "basic ":
        return None
    encoded = value[6:].lstrip(" ").partition("=")[0]
    if len(encoded) % 4 == 1 or not _BASE64.fullmatch(encoded):
        return None
    decoded = a2b_base64(encoded + "=" * (-len(encoded) % 4)).decode("latin-1")
    user, colon, password = decoded.partition(":")
    return (user, password) if user and colon else None


@variable("request_body")
def request_body(request: Request) -> str | None:
    """The body, once it has been read for a backend and as long as it is in memory (its keeper's `kept`)."""
    kept: bytes | None = getattr(request.body, "kept", None)
    return kept.decode("latin-1") if kept else None


@variable("request_body_file")
def request_body_file(request: Request) -> str | None:
    """The temporary file the body has been written to (its keeper's `path`)."""
    path: str | None = getattr(request.body, "path", None)
    return path


@variable("request_id")
def request_id(request: Request) -> str:
    """32 random hexadecimal digits, the same for a whole request."""
    variables = request.main.variables
    known = variables.get("request_id")
    if known is None:
        known = variables["request_id"] = os.urandom(16).hex()
    return known


@variable("request_completion", late=True)
def request_completion(request: Request) -> str:
    return "OK" if request.completed else ""


# Where it came from.


@variable("remote_addr")
@inlined("request.connection.client_address", plain=True)
def remote_addr(request: Request) -> str:
    address: str = request.connection.client_address
    return address


@variable("remote_port")
def remote_port(request: Request) -> str:
    return _port(request.connection.client_port)


@variable("binary_remote_addr")
def binary_remote_addr(request: Request) -> str:
    return packed(request.connection.client_address)


@lru_cache(maxsize=4096)
def packed(address: str) -> str:
    """Return the 4 or 16 bytes of an address; "unix:" for a client of a unix socket."""
    if address.startswith("unix:"):
        return address
    found = network(address.partition("%")[0])
    return found.prefix.to_bytes(4 if found.family == "inet" else 16, "big").decode("latin-1")


@variable("scheme")
def scheme(request: Request) -> str:
    name: str = request.connection.scheme
    return name


@variable("https")
def https(request: Request) -> str:
    return "on" if request.connection.scheme == "https" else ""


def _tcp_info(name: str) -> Getter:
    def get(request: Request) -> str | None:
        from penstock.net.tcp_info import tcp_info

        sock = getattr(request.connection.stream, "sock", None)
        value = tcp_info(sock, name) if sock is not None else None
        return None if value is None else str(value)

    return get


for _name in ("rtt", "rttvar", "snd_cwnd", "rcv_space"):
    variable(f"tcpinfo_{_name}")(_tcp_info(_name))


# Where it arrived.


@variable("server_name")
def server_name(request: Request) -> str:
    return request.server.name


@variable("server_addr")
def server_addr(request: Request) -> str:
    address: str = request.connection.local_address
    return address


@variable("server_port")
def server_port(request: Request) -> str:
    return _port(request.connection.local_port)


@variable("hostname")
def hostname(request: Request) -> str:
    return _hostname()


@cache
def _hostname() -> str:
    return os.uname().nodename.lower()


@variable("nginx_version")
def nginx_version(request: Request) -> str:
    return NGINX_VERSION


@variable("document_root")
def document_root(request: Request) -> str:
    files = request.location[Files]
    root = files.root if files.alias is None else files.alias
    assert root is not None
    return root.evaluate(request)


@variable("realpath_root")
def realpath_root(request: Request) -> str | None:
    """The document root without symbolic links."""
    root = document_root(request)
    assert root is not None
    try:
        return os.path.realpath(root.encode("latin-1"), strict=True).decode("latin-1")
    except OSError as error:
        report(request, CRIT, os_failure("realpath()", error, root))
        return None


@variable("request_filename")
def request_filename(request: Request) -> str:
    return request.location[Files].path(request, request.uri)


def _set_limit_rate(request: Request, value: str) -> None:
    try:
        request.limit_rate = size(value)
    except ValueError:
        report(request, ERROR, f'invalid $limit_rate "{value}"')


@variable("limit_rate", set=_set_limit_rate)
def limit_rate(request: Request) -> str:
    return str(request.limit_rate or 0)
