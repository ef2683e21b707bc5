"""What variables decode stays within one line, of requests to backends and of answers, and the log says where it came
from."""

import re

import pytest

from harness.http2 import Http2Client
from harness.ports import free_port
from harness.proxy import in_http
from harness.raw import raw_http

INJECTED = "%0d%0aX-Role:%20admin"
FRONT = """
    http {
        error_log error.log info;
        map $uri $below { ~(?s)^/mapped(.*)$ $1; }
        map $http_upgrade $connection_upgrade { default upgrade; "" close; }
        upstream app { server 127.0.0.1:{port:back}; keepalive 4; }
        server {
            listen 127.0.0.1:{port:front};
            http2 on;
            location /admin/ { deny all; }
            location /smuggled { proxy_pass http://app$uri$is_args$args; }
            location /mapped { proxy_pass http://app$below; }
            location ~ "(?s)^/captured(.*)" { proxy_pass http://app/x$1; }
            location /header { proxy_set_header X-Original-Path $uri; proxy_pass http://app; }
            location /header2 { proxy_http_version 2; proxy_set_header X-Original-Path $uri; proxy_pass http://two; }
            location /usual {
                proxy_set_header Host $http_host;
                proxy_set_header Connection $connection_upgrade;
                proxy_set_header X-Real $remote_addr:$scheme:$host:$request_uri;
                proxy_pass http://app;
            }
            location /added { add_header X-Path $uri always; return 204; }
            location /moved { return 301 https://elsewhere$uri; }
            location /realm { auth_basic "$uri"; auth_basic_user_file /dev/null; }
            location /user { proxy_set_header X-User $remote_user; proxy_pass http://app; }
            location /policy {
                add_header Content-Security-Policy "default-src 'self';
                    img-src *;
                    " always;
                proxy_set_header X-Policy "a
                    $uri";
                proxy_pass http://app;
            }
        }
        upstream two { server 127.0.0.1:{port:two}; }
    }
    """


@pytest.fixture
def front(proxy, raw_backend):
    from harness.backends import read_head

    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    backend = raw_backend([read_head, answer])
    made = proxy(FRONT, ports={"back": backend.port})
    made.backend = backend
    return made


def sent(front, target: str, *more: str) -> bytes:
    """What the backend got for a request of the client."""
    head = "".join(f"{line}\r\n" for line in more)
    raw_http(front.port("front"), f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{head}\r\n")
    return bytes(front.backend.conversations[-1].received)


@pytest.mark.parametrize("place", ["smuggled", "mapped", "captured"])
def test_a_request_does_not_become_two(front, place) -> None:
    tail = "x%20HTTP/1.1%0d%0aHost:%20x%0d%0a%0d%0aGET%20/admin/secret%20HTTP/1.1%0d%0aHost:%20x%0d%0aX:%20"
    got = sent(front, f"/{place}/{tail}")
    line = got.split(b"\r\n")[0].decode()
    meant = r"GET /(?:\S*/)?x%20HTTP/1\.1(%0D%0A|%0d%0a)Host:%20x\1\1GET%20/admin/secret%20\S+ HTTP/1\.1"
    assert re.fullmatch(meant, line)
    assert got.count(b"\r\n\r\n") == 1
    front.logged(r'the URI that "proxy_pass" makes \(\S+nginx.conf:\d+\) .*\$request_uri', name="error.log")


def test_spaces_of_a_target_are_encoded_and_said_once(front) -> None:
    for _ in range(3):
        assert sent(front, "/smuggled/a%20b?c=%20").startswith(b"GET /smuggled/a%20b?c=%20 HTTP/1.1\r\n")
    front.logged(r'spaces in the URI that "proxy_pass" makes', name="error.log")
    assert front.error_log().count("spaces in the URI") == 1


def test_a_value_for_a_backend_stays_in_its_line(front) -> None:
    got = sent(front, f"/header/a{INJECTED}")
    assert b"\r\nX-Original-Path: /header/a%0D%0AX-Role: admin\r\n" in got
    line = next(number for number, text in enumerate(FRONT.splitlines(), 0) if "location /header {" in text)
    front.logged(rf'"proxy_set_header X-Original-Path" \(\S+nginx.conf:{line}\)', name="error.log")
    got = sent(front, "/user", "Authorization: Basic YQ0KWDogeTp4")  # "a\r\nX: y" and a password
    assert b"\r\nX-User: a%0D%0AX" in got


def test_what_is_clean_is_left_alone(front) -> None:
    got = sent(front, "/usual/%c3%a9%0a?x=%0d%0a", "X-Umlaut: \xe9")
    assert b"\r\nX-Real: 127.0.0.1:http:a:/usual/%c3%a9%0a?x=%0d%0a\r\n" in got
    assert b"\r\nConnection: close\r\n" in got
    assert "percent-encoded" not in front.error_log()


def test_a_value_over_several_lines_is_one(front) -> None:
    said = front.get("/policy", port="front")
    assert said.header("content-security-policy") == "default-src 'self'; img-src *;"
    assert b"\r\nX-Policy: a /policy\r\n" in bytes(front.backend.conversations[-1].received)
    with Http2Client(front.port("front")) as client:
        assert client.get("/policy").header("content-security-policy") == "default-src 'self'; img-src *;"


@pytest.mark.parametrize("two", [False, True])
@pytest.mark.parametrize(
    ("target", "name", "value"),
    [
        ("added", "x-path", "/added%0D%0AX-Role: admin"),
        ("moved", "location", "https://elsewhere/moved%0D%0AX-Role: admin"),
        ("realm", "www-authenticate", 'Basic realm="/realm%0D%0AX-Role: admin"'),
    ],
)
def test_a_value_for_a_client_stays_in_its_line(front, target, name, value, two) -> None:
    if two:
        with Http2Client(front.port("front")) as client:
            answered = client.get(f"/{target}{INJECTED}")
            assert (answered.header(name), answered.header("x-role")) == (value, None)
    else:
        answer = front.get(f"/{target}{INJECTED}", port="front")
        assert (answer.header(name), answer.header("x-role")) == (value, None)
    front.logged(r"\(\S+nginx.conf:\d+\) have been percent-encoded", name="error.log")


def test_a_backend_of_http2_gets_what_one_of_http1_gets(proxy) -> None:
    from harness.backends.http2 import Http2Backend

    asked = []

    def answer(request) -> None:
        asked.append(request)
        request.answer(b"ok")

    with Http2Backend(answer) as backend:
        front = proxy(FRONT, ports={"two": backend.port})
        assert front.get(f"/header2{INJECTED}", port="front").status == 200
    assert asked[0].field("x-original-path") == "/header2%0D%0AX-Role: admin"
    assert asked[0].field("x-role") is None


@pytest.mark.parametrize("method", ["GET /x HTTP/1.1", "", "a b", "GET\\r\\nX: y"])
def test_a_method_is_a_word(proxy, http_backend, method) -> None:
    text = """
        http {{
            server {{
                listen 127.0.0.1:{{port:front}};
                location / {{ set $how "{}"; proxy_method $how; proxy_pass http://127.0.0.1:{{port:back}}; }}
            }}
        }}
        """
    front = proxy(text.format(method), ports={"back": http_backend.port})
    assert front.get("/", port="front").status == 500
    front.logged(r'can not be a method: see "proxy_method" \(\S+nginx.conf:4\)', name="error.log")
    said = proxy.refuses(text.format("x").replace("$how;", '"a b";'), ports={"back": 1})
    assert 'invalid method "a b"' in said.output


ARGUMENTS = in_http(
    """
    server {
        listen 127.0.0.1:{port:front};
        http2 on;
        root {dir}/www;
        location ~ "(?s)^/slash/(?<odd>.*)$" { set $args $odd; rewrite ^ /folder last; }
        location ~ "(?s)^/passed/(?<odd>.*)$" { set $args $odd; rewrite ^ /app last; }
        location ~ "(?s)^/kept/(?<odd>.*)$" { set $args $odd; rewrite ^ /again permanent; }
        location ~ "(?s)^/away/(?<odd>.*)$" { set $args $odd; return 302 /x?$args; }
        location /app/ { proxy_pass http://127.0.0.1:{port:back}; }
    }
    """
)


@pytest.mark.parametrize("two", [False, True])
@pytest.mark.parametrize("place", ["slash", "passed", "kept", "away"])
def test_arguments_stay_in_the_line_of_a_redirect(proxy, place, two) -> None:
    """Whoever makes it: a folder's or a location's final slash, `rewrite`, `return`."""
    front = proxy(ARGUMENTS, ports={"back": free_port()}, files={"www/folder/file": ""})
    for odd in ("%0d%0aX-Role:%20admin", "%0aX-Role:%20admin", "%0dX-Role: 1", "%0d%0a%0d%0abody", "%7f%1b"):
        if two:
            with Http2Client(front.port("front")) as client:
                answered = client.get(f"/{place}/{odd}".replace(" ", "%20"))
                said = "\r\n".join(f"{name}: {value}" for name, value in answered.headers)
        else:
            asked = f"GET /{place}/{odd} HTTP/1.0\r\nHost: a\r\n\r\n".replace(": 1", ":%201")
            said = raw_http(front.port("front"), asked).partition(b"\r\n\r\n")[0].decode("latin-1")
        assert re.search(r"(?mi)^location: \S*%", said), said
        for line in said.split("\r\n"):
            assert re.search(r"[\x00-\x1f\x7f]", line) is None and not line.lower().startswith("x-role"), said
