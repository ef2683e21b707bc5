"""A site with every kind of answer there is, and what to ask it for each: for tests of what requests leave behind.

    with kinds_site(authority) as (front, wires): ...
"""

import gzip
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from harness.backends import Conversation, HttpEcho, RawBackend, WebSocketEcho, half_close, pause, read, read_head
from harness.backends.echo import Echoed
from harness.backends.http2 import Http2Backend
from harness.counting import Counted

LARGE = 300_000
PAGE = b"<html>text to look for, " * (LARGE // 24)
SSI_PAGE = (
    "<html><!--#include virtual=\"/static/small.html\" --><!--#include virtual=\"/length\" -->"
    "<!--#include virtual=\"/ssi/inner.html\" --><!--#include virtual=\"/nothing\" -->"
    "<!--#set var=\"x\" value=\"$uri\" --><!--#echo var=\"x\" --></html>"
)

SITE = """
worker_rlimit_nofile 4096;
events { worker_connections 2048; }
http {
    client_body_buffer_size 8k;
    proxy_buffers 4 4k; proxy_buffer_size 4k; proxy_busy_buffers_size 8k;
    keepalive_timeout 5s;
    log_subrequest on;
    log_format all '$request $status $sent_http_content_type $upstream_response_time $gzip_ratio $request_body_file';
    access_log access.log all;
    types { text/html html; text/plain txt; }
    default_type text/html;
    server {
        listen 127.0.0.1:{port:http};
        listen 127.0.0.1:{port:tls} ssl;
        http2 on;
        ssl_certificate {value:crt}; ssl_certificate_key {value:key};
        root www;
        error_page 404 /error.html;
        error_page 502 504 =503 /static/small.html;

        location /return { return 200 "some text"; }
        location /empty { empty_gif; }
        location /static/ { alias www/; }
        location /index/ { alias www/; autoindex on; }
        location /packed/ { alias www/; gzip_static on; }
        location /static-gzip/ { alias www/; gzip on; }
        location /static-sub/ { alias www/; sub_filter text TEXT; sub_filter_once off; }
        location /static-charset/ { alias www/; charset utf-8; source_charset iso-8859-1; }
        location /static-slow/ { alias www/; limit_rate 2m; }
        location /added/ { alias www/; add_before_body /static/small.html; add_after_body /length; }
        location /trailers { alias www/; add_trailer X-Late $request_length; }
        location /ssi/ { alias www/ssi/; ssi on; }
        location /named-error { error_page 403 @named; deny all; }
        location @named { proxy_pass http://127.0.0.1:{port:back}; }
        location /try { try_files /static/nothing /static/nowhere @named; }
        location /satisfied { auth_request /allowed; alias www/; }
        location /authorized { auth_request /length; proxy_pass http://127.0.0.1:{port:back}/length; }
        location /forbidden { auth_request /refusing; alias www/; }
        location /refusing { internal; return 401; }
        location /allowed { internal; return 204; }
        location /mirrored { mirror /copy; proxy_pass http://127.0.0.1:{port:back}/length; }
        location /copy { internal; proxy_pass http://127.0.0.1:{port:back}/length; }

        location / { proxy_pass http://127.0.0.1:{port:back}; }
        location /unbuffered { proxy_buffering off; proxy_pass http://127.0.0.1:{port:back}/chunked; }
        location /temp { proxy_buffers 3 4k; limit_rate 4m; proxy_pass http://127.0.0.1:{port:back}/length; }
        location /no-temp { proxy_max_temp_file_size 0; limit_rate 4m; proxy_pass http://127.0.0.1:{port:back}/length; }
        location /rated { proxy_limit_rate 2m; proxy_pass http://127.0.0.1:{port:back}/length; }
        location /gzip { gzip on; proxy_pass http://127.0.0.1:{port:back}/length; }
        location /gzip-unbuffered { gzip on; proxy_buffering off; proxy_pass http://127.0.0.1:{port:back}/chunked; }
        location /gunzip { gunzip on; proxy_pass http://127.0.0.1:{port:back}/packed-answer; }
        location /sub { sub_filter text TEXT; sub_filter_once off; proxy_pass http://127.0.0.1:{port:back}/length; }
        location /everything {
            gunzip on; sub_filter text TEXT; add_after_body /ssi/page.html; charset utf-8; source_charset koi8-r;
            add_trailer X-Late $request_time; proxy_pass http://127.0.0.1:{port:back}/chunked;
        }
        location /ranges { proxy_force_ranges on; proxy_pass http://127.0.0.1:{port:back}/length; }
        location /intercepted { proxy_intercept_errors on; proxy_pass http://127.0.0.1:{port:back}/missing; }
        location /elsewhere { proxy_pass http://127.0.0.1:{port:back}/accel; }
        location /upload { proxy_pass http://127.0.0.1:{port:back}/small; }
        location /in-file { client_body_in_file_only clean; proxy_pass http://127.0.0.1:{port:back}/length; }
        location /upload-large { proxy_pass http://127.0.0.1:{port:back}/length; }
        location /upload-unbuffered {
            proxy_request_buffering off; proxy_http_version 1.1; proxy_pass http://127.0.0.1:{port:back}/small;
        }
        location /upload-mirrored { mirror /copy; proxy_pass http://127.0.0.1:{port:back}/length; }
        location /upload-authorized { auth_request /length; proxy_pass http://127.0.0.1:{port:back}/length; }
        location /too-large { client_max_body_size 1k; proxy_pass http://127.0.0.1:{port:back}/small; }
        location /early {
            proxy_request_buffering off; proxy_http_version 1.1; proxy_pass http://127.0.0.1:{port:early};
        }
        location /unreachable { proxy_pass http://127.0.0.1:{port:nobody}; }
        location /next { proxy_pass http://two; }
        location /silent { proxy_pass http://127.0.0.1:{port:silent}; }
        location /late { proxy_read_timeout 300ms; proxy_pass http://127.0.0.1:{port:silent}; }
        location /cut { proxy_pass http://127.0.0.1:{port:cut}; }
        location /broken { proxy_pass http://127.0.0.1:{port:broken}; }
        location /slowly { proxy_pass http://127.0.0.1:{port:slowly}; }
        location /uwsgi { uwsgi_pass 127.0.0.1:{port:cgi}; }
        location /scgi { scgi_pass 127.0.0.1:{port:cgi}; scgi_param CONTENT_LENGTH $content_length; }
        location /http2 { proxy_http_version 2; proxy_pass http://127.0.0.1:{port:http2}; }
        location /http2-unbuffered {
            proxy_http_version 2; proxy_request_buffering off; proxy_buffering off;
            proxy_pass http://127.0.0.1:{port:http2};
        }

        location /ws { proxy_pass http://127.0.0.1:{port:echo}; websocket auto; }
        location /ws-plain {
            proxy_pass http://127.0.0.1:{port:echo}; proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
        }
        location /ws-watched {
            proxy_pass http://127.0.0.1:{port:echo}; websocket on;
            websocket_ping 10s; websocket_max_message 1m; websocket_rate 1000r/s burst=100; websocket_max_lifetime 1h;
            websocket_reauth 1s /allowed;
        }
    }
    upstream two { server 127.0.0.1:{port:nobody} max_fails=0; server 127.0.0.1:{port:back} max_fails=0; }
}
"""

FILES = {
    "www/small.html": "a small text",
    "www/large.html": PAGE,
    "www/small.html.gz": gzip.compress(b"a small text"),
    "www/error.html": PAGE,
    "www/ssi/page.html": SSI_PAGE,
    "www/ssi/inner.html": "<!--#include virtual=\"/chunked\" --><!--#echo var=\"date_local\" -->",
}


def _chunked(body: bytes) -> bytes:
    pieces = [body[at : at + 9000] for at in range(0, len(body), 9000)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def _respond(request: Echoed) -> bytes:
    path = request.target.partition("?")[0]
    head = request.line.startswith("HEAD ")
    html = b"Content-Type: text/html\r\n"
    if path == "/chunked":
        body = b"" if head else _chunked(PAGE) + b"0\r\nX-Trailer: yes\r\n\r\n"
        return b"HTTP/1.1 200 OK\r\n" + html + b"Transfer-Encoding: chunked\r\n\r\n" + body
    if path == "/close":
        return b"HTTP/1.1 200 OK\r\n" + html + b"Connection: close\r\n\r\n" + (b"" if head else PAGE)
    if path == "/accel":
        return b"HTTP/1.1 200 OK\r\nX-Accel-Redirect: /static/large.html\r\nContent-Length: 5\r\n\r\nhello"
    status, body = b"200 OK", b"a small answer"
    if path == "/length":
        body = PAGE
    elif path == "/packed-answer":
        body = gzip.compress(PAGE)
        html += b"Content-Encoding: gzip\r\n"
    elif path == "/missing":
        status, body = b"404 Not Found", PAGE
    elif path == "/hints":
        status = b"103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK"
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, html, len(body), b"" if head else body)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CGI = b"Status: 200 OK\r\nContent-Type: text/html\r\n\r\n" + PAGE
BEGUN = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % LARGE + PAGE[:20_000]


@dataclass(frozen=True, slots=True)
class Kind:
    """What to ask for. `status` is what comes, 0 for an answer that breaks off. `chunked`: the body's length is not
    said."""

    path: str
    status: int = 200
    method: str = "GET"
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    chunked: bool = False

    def __str__(self) -> str:
        return "-".join(
            part
            for part in (self.method if self.method != "GET" else "", self.path, "chunked" if self.chunked else "", *(
                name for name, _ in self.headers
            ))
            if part
        )


CUT = 0
"""In place of a status: an answer that breaks off."""
ZIPPED = (("accept-encoding", "gzip"),)
RANGE = (("range", "bytes=100-200000"),)
RANGES = (("range", "bytes=100-2000,5000-100000"),)
UPLOAD = b"u" * 200_000

PLAIN = [
    Kind(path)
    for path in (
        "/return", "/empty", "/static/small.html", "/static/large.html", "/index/", "/packed/small.html",
        "/static-gzip/large.html", "/static-sub/large.html", "/static-charset/large.html", "/static-slow/large.html",
        "/added/large.html", "/trailers/large.html", "/ssi/page.html", "/try", "/satisfied/large.html",
        "/authorized", "/mirrored", "/small", "/length", "/chunked", "/close", "/hints", "/unbuffered",
        "/temp", "/no-temp", "/rated", "/gunzip", "/sub", "/everything", "/ranges", "/elsewhere", "/next",
        "/uwsgi", "/scgi", "/http2", "/http2-unbuffered",
    )
]  # fmt: skip
OTHER = [
    Kind("/static/", 403), Kind("/index/ssi", 301), Kind("/nothing", 200), Kind("/missing", 404),
    Kind("/static/missing", 404), Kind("/named-error", 403), Kind("/intercepted", 404), Kind("/forbidden", 401),
    Kind("/unreachable", 503), Kind("/late", 503), Kind("/cut", CUT), Kind("/broken", CUT),
    Kind("/packed/small.html", headers=ZIPPED), Kind("/static-gzip/large.html", headers=ZIPPED),
    Kind("/gzip", headers=ZIPPED), Kind("/gzip-unbuffered", headers=ZIPPED), Kind("/gunzip", headers=ZIPPED),
    Kind("/static/large.html", 206, headers=RANGE), Kind("/static/large.html", 206, headers=RANGES),
    Kind("/static/large.html", 416, headers=(("range", "bytes=9999999-"),)),
    Kind("/static/large.html", 412, headers=(("if-match", '"x"'),)),
    Kind("/static/large.html", 304, headers=(("if-none-match", "*"),)),
    Kind("/ranges", 206, headers=RANGE), Kind("/ranges", 200, headers=RANGES),
    *(
        Kind(path, method="HEAD")
        for path in ("/static/large.html", "/static-gzip/large.html", "/length", "/chunked", "/added/large.html",
                     "/ssi/page.html", "/gunzip", "/http2", "/uwsgi", "/authorized")
    ),
    Kind("/static/missing", 404, method="HEAD"),
]  # fmt: skip
UPLOADS = [
    Kind(path, method="POST", body=body, chunked=chunked)
    for path in (
        "/upload", "/in-file", "/upload-large", "/upload-unbuffered", "/upload-mirrored", "/upload-authorized",
        "/uwsgi", "/scgi", "/http2", "/http2-unbuffered", "/next",
    )
    for body in (b"small", UPLOAD)
    for chunked in (False, True)
] + [
    Kind("/too-large", 413, method="POST", body=UPLOAD),
    Kind("/too-large", 413, method="POST", body=UPLOAD, chunked=True),
    Kind("/return", 200, method="POST", body=UPLOAD),
    Kind("/static/large.html", 405, method="POST", body=UPLOAD),
    Kind("/unreachable", 503, method="POST", body=UPLOAD),
    Kind("/early", 200, method="POST", body=UPLOAD),
    Kind("/upload", 200, method="POST", body=UPLOAD, headers=(("expect", "100-continue"),)),
]  # fmt: skip
KINDS = PLAIN + OTHER + UPLOADS


def ignore(talk: Conversation) -> None:
    """Read until the other side has had enough, and remember nothing of it."""
    while talk.fill():
        talk.received = b""


def _http2(asked: Any) -> None:
    page = b"" if asked.field(":method") == "HEAD" else PAGE
    asked.answer(page, ("content-type", "text/html"))


@contextmanager
def backends_and_files(authority: Any) -> Iterator[dict[str, Any]]:
    """The backends that the site needs; what to give to a `Proxy` with it."""
    pair = authority.issue("localhost")
    early = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly"
    with ExitStack() as stack:
        backends: dict[str, Any] = {
            "back": HttpEcho(respond=_respond),
            "early": RawBackend([read_head, early, ignore]),
            "silent": RawBackend([ignore]),
            "cut": RawBackend([read_head, BEGUN]),
            "slowly": RawBackend([read_head, BEGUN, ignore]),
            "broken": RawBackend([read_head, CHUNKED, pause(0.1), b"5\r\nhello\r\n", pause(0.1), b"zz"]),
            "cgi": RawBackend([read(1), CGI, half_close, ignore]),
            "http2": Http2Backend(_http2),
            "echo": WebSocketEcho(),
        }
        for backend in backends.values():
            stack.enter_context(backend)
        backends["back"].requests = backends["http2"].requests = backends["http2"].talks = deque(maxlen=1)
        ports = {name: backend.port for name, backend in backends.items()}
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            ports["nobody"] = nobody.getsockname()[1]
        yield {"ports": ports, "files": FILES, "values": {"crt": pair.certificate, "key": pair.key}}


@contextmanager
def kinds_site(authority: Any) -> Iterator[Counted]:
    """The site, in a process that can be asked what it holds."""
    with backends_and_files(authority) as options, Counted(SITE, **options) as front:
        yield front
