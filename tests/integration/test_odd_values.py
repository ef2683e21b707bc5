"""Odd values for every directive that takes variables: nothing leaves its line, and nothing is a mistake of ours.

A value comes decoded out of the path, or, with NUL in it, out of a name for HTTP Basic authentication.
"""

import re
from base64 import b64encode

import pytest

from harness.backends.threads import ThreadedServer
from harness.binary import penstock
from harness.http2 import Http2Client
from harness.proxy import Proxy
from harness.raw import raw_http

VALUES = [
    *("", " ", "a b", "\t", "\n", "\r", "\r\n", "\x01", "\x1b[31m", "\x7f", "\x80", "\xff" * 70),
    *("\xc3\xa9", "\xe2\x80\xa8"),
    *("x\r\nX-Injected: 1", "x\nX-Injected: 1", "x\rX-Injected: 1", "x\r\n X-Injected: 1", "x\x0bX-Injected: 1"),
    "x HTTP/1.1\r\nHost: x\r\n\r\nGET /injected HTTP/1.1\r\nHost: x\r\nX: ",
    *(":", "a:", ":a", "::", "::1", "[", "]", "[]", "[::1", "[::1]", "[::1]:", "[::1]:x", "[:::]:80", "a:b:c"),
    *("@", "@a"),
    *("/", "//", "///", "..", "../..", "/../x", ".", "a..b", "a.", ".a", "-", "%", "%0", "%zz", "?", "a?b", "#"),
    *("&", ";"),
    *("a" * 64 + ".b", "a" * 300, "a." * 200, "x" * 3000, "-1", "0", "1k", "9" * 40, "1e9", "\xb2"),
    *("max", "off", "@24h"),
    *("unix:", "unix:/", "unix:a", "unix:" + "a" * 200, "127.0.0.1:0", "127.0.0.1:99999", "127.0.0.1:x", "1.2.3.4.5"),
    *("0x7f.1", "127.0.0.1%lo", "[::1%25lo]", "[::1%lo]:1", "0.0.0.0:1", "data:", "data:x", "engine:x"),
    *("http:", "http://", "http://a", "https://", "ws://a", "$", "$uri", "${", "\\", "'", '"', "<", ">"),
    *("{", "|", "~(", "utf-8"),
]
NULS = ["\0", "a\0b", "\0a", "127.0.0.1\0", "/tmp/\0", "x\r\nX-Injected\0 1"]

BACK = "proxy_pass http://127.0.0.1:{port:back};"
DIRECTIVES = {
    "pass-path": "proxy_pass http://127.0.0.1:{port:back}/$value;",
    "pass-glued": "proxy_pass http://127.0.0.1:{port:back}$value;",
    "pass-query": "proxy_pass http://127.0.0.1:{port:back}/?$value;",
    "pass-group": "proxy_pass http://group/$value;",
    "pass-host": "proxy_pass http://$value;",
    "pass-host-path": "proxy_pass http://$value/x;",
    "pass-host-port": "proxy_pass http://$value:{port:back};",
    "pass-port": "proxy_pass http://127.0.0.1:$value;",
    "pass-bracket": "proxy_pass http://[$value]:{port:back};",
    "pass-whole": "proxy_pass $value;",
    "pass-scheme": "proxy_pass $value://127.0.0.1:{port:back};",
    "pass-secure": "proxy_pass https://$value;",
    "pass-unix": "proxy_pass http://unix:$value;",
    "pass-unix-uri": "proxy_pass http://unix:/tmp/$value:/x;",
    "pass-resolved": "resolver 127.0.0.1:{port:dead} valid=1s; resolver_timeout 50ms; proxy_pass http://$value;",
    "two-path": "proxy_http_version 2; proxy_pass http://127.0.0.1:{port:back}/$value;",
    "two-header": "proxy_http_version 2; proxy_set_header X-Own $value; " + BACK,
    "two-host": "proxy_http_version 2; proxy_set_header Host $value; " + BACK,
    "two-method": "proxy_http_version 2; proxy_method $value; " + BACK,
    "header": "proxy_set_header X-Own $value; " + BACK,
    "header-amid": 'proxy_set_header X-Own "a $value b"; ' + BACK,
    "header-host": "proxy_set_header Host $value; " + BACK,
    "header-connection": "proxy_set_header Connection $value; " + BACK,
    "header-upgrade": "proxy_set_header Upgrade $value; " + BACK,
    "header-mapped": "proxy_set_header X-Own $mapped; " + BACK,
    "header-set": 'set $kept "$value"; proxy_set_header X-Own $kept; ' + BACK,
    "header-user": "proxy_set_header X-Own $remote_user; " + BACK,
    "header-websocket": "websocket auto; proxy_set_header X-Own $value; " + BACK,
    "method": "proxy_method $value; " + BACK,
    "body": "proxy_set_body $value; " + BACK,
    "bind": "proxy_bind $value; " + BACK,
    "bind-transparent": "proxy_bind $value transparent; " + BACK,
    "rate": "proxy_limit_rate $value; " + BACK,
    "tls-name": "proxy_ssl_server_name on; proxy_ssl_name $value; proxy_pass https://127.0.0.1:{port:back};",
    "tls-certificate": "proxy_ssl_certificate $value; proxy_ssl_certificate_key $value; "
    "proxy_pass https://127.0.0.1:{port:back};",
    "redirect": "proxy_redirect http://elsewhere/ $value; " + BACK,
    "redirect-regex": "proxy_redirect ~^http://(.*)$ $value; " + BACK,
    "redirect-from": "proxy_redirect $value /x; " + BACK,
    "cookie-domain": "proxy_cookie_domain own.example $value; " + BACK,
    "cookie-domain-from": "proxy_cookie_domain $value x; " + BACK,
    "cookie-path": "proxy_cookie_path / $value; " + BACK,
    "cookie-path-regex": "proxy_cookie_path ~(.*) $value; " + BACK,
    "cookie-flags": "proxy_cookie_flags $value secure $value; " + BACK,
    "hints": "early_hints $value; " + BACK,
    "uwsgi": "uwsgi_param X $value; uwsgi_pass 127.0.0.1:{port:back};",
    "uwsgi-pass": "uwsgi_pass $value;",
    "scgi": "scgi_param X $value; scgi_pass 127.0.0.1:{port:back};",
    "scgi-pass": "scgi_pass $value;",
    "add-header": "add_header X-Own $value always; return 204;",
    "add-header-amid": 'add_header X-Own "a $value b" always; return 200 x;',
    "add-etag": "add_header ETag $value always; return 200 x;",
    "add-last-modified": "add_header Last-Modified $value always; return 200 x;",
    "add-trailer": "add_trailer X-Own $value always; return 200 x;",
    "expires": "expires $value; return 200 x;",
    "expires-modified": "expires modified $value; return 200 x;",
    "charset": "charset $value; default_type text/plain; return 200 x;",
    "source-charset": "charset utf-8; source_charset $value; default_type text/plain; return 200 x;",
    "return-302": "return 302 $value;",
    "return-url": "return 301 http://elsewhere/$value;",
    "return-text": "return 200 $value;",
    "return-error": "return 403 $value;",
    "rewrite-away": "rewrite ^ http://elsewhere/$value redirect;",
    "rewrite-path": "rewrite ^ /back/$value last;",
    "rewrite-args": "rewrite ^ /back/?$value last;",
    "set-args": "set $args $value; rewrite ^ /back/ last;",
    "set-rate": "set $limit_rate $value; return 200 x;",
    "error-page": "error_page 404 http://elsewhere/$value; return 404;",
    "error-page-path": "error_page 404 /back/$value; return 404;",
    "error-page-name": "error_page 404 $value; return 404;",
    "realm": "auth_basic $value; auth_basic_user_file /dev/null;",
    "user-file": "auth_basic x; auth_basic_user_file $value;",
    "root": "root $value;",
    "root-below": "root {dir}/$value; index $value;",
    "alias": "alias $value;",
    "tries": "root {dir}; try_files $value =404;",
    "tries-redirect": "root {dir}; try_files /none /back/$value;",
    "log": "access_log {dir}/$value.log; return 204;",
    "log-if": "access_log {dir}/x.log combined if=$value; return 204;",
    "limit-rate": "limit_rate $value; limit_rate_after $value; return 200 x;",
    "limit-req": "limit_req zone=asked burst=99999 nodelay; return 204;",
    "limit-conn": "limit_conn open 60000; return 204;",
    "hash": "proxy_pass http://hashed;",
    "sticky": "proxy_pass http://stuck;",
    "route": "proxy_pass http://routed;",
    "mirror": "mirror /mirror/; set $mirrored $value; return 204;",
    "asked": "auth_request /ask/; auth_request_set $said $value; add_header X-Own $said; return 204;",
    "sub-filter": "sub_filter_types *; sub_filter $value $value; return 200 'a b c $value';",
    "secure-link": "secure_link $value,1; secure_link_md5 $value; return 200 $secure_link;",
    "if": "if ($value) {{ return 204; }} return 205;",
    "if-file": "if (-f $value) {{ return 204; }} if (-d $value) {{ return 204; }} return 205;",
    "if-match": 'if ($value ~* "^(?<own>.*)$") {{ add_header X-Own $own; return 204; }}',
    "geo": "return 200 $placed;",
    "split": "return 200 $split;",
    "map": "return 200 $hostly;",
    "ssi": "ssi on; ssi_types *; root {dir}; try_files /page.html =404;",
    "accel": "proxy_set_header X-Path $value; proxy_pass http://127.0.0.1:{port:accel};",
    "memory": "set $a $value$value; add_header X-Own $a; return 204;",
    "userid": "userid on; userid_name own; add_header X-Own $uid_set$value; return 204;",
    "tunnel": "tunnel_pass $value;",
    "tunnel-port": "tunnel_pass $value:{port:back};",
}
FRONT = """
http {{
    error_log error.log info;
    proxy_connect_timeout 1s; uwsgi_connect_timeout 1s; scgi_connect_timeout 1s;
    tunnel_connect_timeout 1s; tunnel_read_timeout 1s; proxy_read_timeout 3s;
    map $remote_user $value {{ "" $odd; default $remote_user; }}
    map $value $mapped {{ volatile; default "a $value"; }}
    map $value $hostly {{ hostnames; default x; *.a y; a.* z; "~(?s)^.(?<later>.*)$" $later; }}
    geo $value $placed {{ default no; 127.0.0.0/8 yes; }}
    split_clients $value $split {{ 50% a; * b; }}
    limit_req_zone $value zone=asked:1m rate=1000r/s;
    limit_conn_zone $value zone=open:1m;
    upstream group {{ server 127.0.0.1:{{port:back}}; }}
    upstream hashed {{ hash $value consistent; server 127.0.0.1:{{port:back}}; }}
    upstream stuck {{ sticky cookie own domain=$value samesite=$value; server 127.0.0.1:{{port:back}}; }}
    upstream routed {{ sticky route $value; server 127.0.0.1:{{port:back}} route=a; }}
    server {{
        listen 127.0.0.1:{{port:front}};
        listen 127.0.0.1:{{port:two}} http2;
        large_client_header_buffers 4 64k;
        set $odd "";
        set $mirrored "";
        {locations}
        location /back/ {{ proxy_pass http://127.0.0.1:{{port:back}}; }}
        location /mirror/ {{ internal; proxy_pass http://127.0.0.1:{{port:back}}/$mirrored; }}
        location /ask/ {{ internal; proxy_pass http://127.0.0.1:{{port:back}}/$value; proxy_set_header X-Own $value; }}
        location /virtual/ {{ proxy_pass http://127.0.0.1:{{port:back}}; }}
        location = /alive {{ return 200 alive; }}
    }}
    server {{
        listen 127.0.0.1:{{port:accel}};
        location / {{ add_header X-Accel-Redirect "/back/$http_x_path"; return 200; }}
    }}
}}
"""
PAGE = """<!--#set var="own" value="$value" --><!--#echo var="own" encoding="none" -->
<!--#include virtual="/virtual/$value" --><!--#if expr="$value = /a(.*)/" -->$1<!--#endif -->"""
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search
SAID = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nLocation: http://elsewhere/x\r\nRefresh: 1; url=http://elsewhere/\r\n"
    b"Set-Cookie: own=1; Path=/a; Domain=own.example\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
)


class Listening(ThreadedServer):
    """A backend that keeps every byte it is sent, and says the same to all."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        super().__init__()

    def serve(self, connection, number) -> None:
        connection.settimeout(5)
        data = b""
        try:
            while b"\r\n\r\n" not in data and (piece := connection.recv(65536)):
                data += piece
                if data[:1] not in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ":
                    break  # no HTTP/1
        except OSError:
            pass
        self.got.append(data)
        connection.sendall(SAID)


def _locations() -> str:
    return "\n".join(
        f'location ~ "(?s)^/{name}/(?<odd>.*)$" {{ {directive.replace("{{", "{").replace("}}", "}")} }}'
        for name, directive in DIRECTIVES.items()
    )


def _head(data: bytes) -> bytes:
    return data.partition(b"\r\n\r\n")[0] + b"\r\n"


def _strays(head: bytes) -> bool:
    """Whether there is a control character that does not end a line, or a line that nobody meant."""
    lines = head.split(b"\r\n")
    return any(_CONTROL(line) or line.lower().startswith(b"x-injected") for line in lines)


def _requests():
    for value in VALUES:
        path = "".join(f"%{ord(char):02X}" for char in value)
        yield value, path, ""
    for value in NULS:
        yield value, "", f"Authorization: Basic {b64encode(f'{value}:x'.encode('latin-1')).decode()}\r\n"


@pytest.fixture(scope="module")
def backend():
    with Listening() as server:
        yield server


@pytest.fixture(scope="module")
def front(backend):
    text = FRONT.format(locations=_locations())
    with Proxy(text, penstock(), ports={"back": backend.port}, files={"page.html": PAGE}) as made:
        yield made


def _unharmed(front, backend, name: str, before: int) -> None:
    """Nothing that came to the backend since, or stands in the log, is what it must not be."""
    got, backend.got = backend.got, []
    for data in got:
        if data[:1].isalpha() and not data.startswith(b"PRI "):
            assert not _strays(_head(data)), data
            assert name == "body" or b"/injected HTTP" not in data.partition(b"\r\n\r\n")[2]
            assert len(_head(data).split(b"\r\n")[0].split(b" ")) == 3, data
    mistakes = [line for line in front.error_log()[before:].splitlines() if "internal error" in line]
    assert not mistakes, f"{len(mistakes)}:\n" + "\n".join(dict.fromkeys(line[:300] for line in mistakes))
    assert front.get("/alive", port="front").text == "alive"


@pytest.mark.parametrize("name", DIRECTIVES)
def test_nothing_odd_leaves_its_line_or_is_a_mistake_of_ours(front, backend, name) -> None:
    before = len(front.error_log())
    for value, path, header in _requests():
        first = f"GET /{name}/{path}"
        if name.startswith("tunnel"):
            first = f"CONNECT {re.sub('[^a-z0-9.]', '', value) or 'a'}:80"
        said = raw_http(
            front.port("front"), f"{first} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{header}\r\n", timeout=20
        )
        assert not _strays(_head(said)), (value, said)
    _unharmed(front, backend, name, before)


@pytest.mark.parametrize("name", [name for name in DIRECTIVES if not name.startswith(("pass", "tunnel", "tls"))])
def test_nothing_odd_leaves_a_field_of_http2(front, backend, name) -> None:
    before = len(front.error_log())
    client = Http2Client(front.port("two"), timeout=20)
    for value, path, header in _requests():
        fields = [("authorization", header.partition(": ")[2].strip())] if header else []
        if client.goaway or client.eof:
            client.close()
            client = Http2Client(front.port("two"), timeout=20)
        answered = client.get(f"/{name}/{path}", *fields)
        for _, said in (*answered.headers, *answered.trailers):
            assert re.search(r"[\x00-\x08\x0a-\x1f\x7f]", said) is None, (value, said)
    client.close()
    _unharmed(front, backend, name, before)
