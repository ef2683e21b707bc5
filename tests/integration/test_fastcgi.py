"""fastcgi_pass, to a responder that does what it is told."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.backends.fastcgi import STDERR, STDOUT, FastCgiBackend, FastCgiRequest, ending, fcgi, says, told
from harness.proxy import in_server
from harness.waiting import eventually

PARAMETERS = """
    fastcgi_split_path_info ^(.+\\.php)(/.*)$;
    fastcgi_index index.php;
    fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
    fastcgi_param SCRIPT_NAME $fastcgi_script_name;
    fastcgi_param PATH_INFO $fastcgi_path_info;
    fastcgi_param QUERY_STRING $query_string;
    fastcgi_param REQUEST_METHOD $request_method;
    fastcgi_param CONTENT_TYPE $content_type;
    fastcgi_param CONTENT_LENGTH $content_length;
    fastcgi_param REQUEST_URI $request_uri;
    fastcgi_param HTTPS $https if_not_empty;
    fastcgi_param REDIRECT_STATUS 200;
    fastcgi_param HTTP_X_OURS ours;
    """
CONF = (
    "http { upstream php { server 127.0.0.1:{port:php}; } server { listen 127.0.0.1:{port:front}; root /srv/site; "
    "location / { fastcgi_pass php; " + PARAMETERS + " {value:more} } } }"
)


@pytest.fixture
def backend() -> Iterator[Callable[..., FastCgiBackend]]:
    """A factory of responders."""
    made: list[FastCgiBackend] = []

    def make(*answers: Any, **options: Any) -> FastCgiBackend:
        made.append(FastCgiBackend(*answers, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def through(proxy: Any, php: FastCgiBackend, more: str = "", **options: Any) -> Any:
    return proxy(CONF, ports={"php": php.port}, values={"more": more}, **options)


def test_parameters_are_those_of_nginx(proxy: Any, nginx: Any, backend: Callable[..., FastCgiBackend]) -> None:
    php = backend()
    found = []
    for front in (through(proxy, php), through(nginx, php)):
        found.append([])
        for path in ("/a%20b/c.php/more/x?q=1&r=%20", "/folder/", "/none"):
            got = front.get(path, {"X-Ours": "theirs", "X-A": "b", "Cookie": "a=b"})
            assert got.status == 200 and got.header("Content-Type") == "application/json"
            found[-1].append(json.loads(got.text))
        front.get("/x.php", {"Content-Type": "text/x"}, method="POST", body=b"z" * 70_000)
        found[-1].append(php.requests[-1].params)
        assert php.requests[-1].body == b"z" * 70_000
        for each in found[-1]:
            each.pop("HTTP_HOST")
    assert found[0] == found[1]
    first = found[0][0]
    assert (first["SCRIPT_FILENAME"], first["PATH_INFO"]) == ("/srv/site/a b/c.php", "/more/x")
    assert (first["HTTP_X_OURS"], first["HTTP_X_A"], "HTTPS" in first) == ("ours", "b", False)
    assert found[0][1]["SCRIPT_NAME"] == "/folder/index.php"


def test_the_header_proxy_makes_no_parameter(proxy: Any, backend: Callable[..., FastCgiBackend]) -> None:
    php = backend()
    assert "HTTP_PROXY" not in json.loads(through(proxy, php).get("/", {"Proxy": "http://evil.test"}).text)
    front = through(proxy, php, "fastcgi_param HTTP_PROXY $http_proxy;")
    assert json.loads(front.get("/", {"Proxy": "mine"}).text)["HTTP_PROXY"] == "mine"


def test_debians_files_are_taken(proxy: Any, backend: Callable[..., FastCgiBackend]) -> None:
    files = [Path("/etc/nginx") / name for name in ("fastcgi_params", "fastcgi.conf")]
    if not all(file.exists() for file in files):
        pytest.skip("no nginx whose fastcgi_params could be included")
    php = backend()
    for file in files:
        front = proxy(
            in_server(f"root /srv; location / {{ include {file}; fastcgi_pass 127.0.0.1:{{port:php}}; }}"),
            ports={"php": php.port},
        )
        params = json.loads(front.get("/i.php?a").text)
        assert (params["SCRIPT_NAME"], params["QUERY_STRING"]) == ("/i.php", "a")
    assert params["SCRIPT_FILENAME"] == "/srv/i.php"


@pytest.mark.parametrize("more", ["", "client_body_buffer_size 1k;", "fastcgi_request_buffering off;"])
def test_bodies_arrive_whole(proxy: Any, backend: Callable[..., FastCgiBackend], more: str) -> None:
    php = backend()
    front = through(proxy, php, more)
    body = os.urandom(300_000)
    assert front.get("/up.php", method="POST", body=body).status == 200
    got = php.requests[-1]
    assert got.body == body and got.params["CONTENT_LENGTH"] == "300000"
    assert max(got.pieces) <= 65535
    assert front.get("/up.php", method="POST", body=b"small").status == 200
    assert php.requests[-1].body == b"small"


def test_a_connection_is_kept_where_that_is_asked_for(proxy: Any, backend: Callable[..., FastCgiBackend]) -> None:
    php = backend(told, lambda request: says("Status: 204 Nothing\r\n\r\n"), told)
    front = through(proxy, php, "fastcgi_keep_conn on;")
    assert [front.get(path).status for path in ("/", "/a", "/b")] == [200, 204, 200]
    assert [(each.connection, each.keep) for each in php.requests] == [(0, True)] * 3
    other = backend()
    front = through(proxy, other)
    assert [front.get(path).status for path in ("/", "/a")] == [200, 200]  # nginx's default
    assert [(each.connection, each.keep) for each in other.requests] == [(0, False), (1, False)]


def test_a_connection_with_more_on_it_is_not_kept(proxy: Any, backend: Callable[..., FastCgiBackend]) -> None:
    evil = says("\r\nfirst") + says("\r\nof nobody")
    php = backend(lambda request: evil, lambda request: says("\r\nsecond"))
    front = through(proxy, php, "fastcgi_keep_conn on;")
    assert [front.get("/").text, front.get("/").text] == ["first", "second"]
    assert [each.connection for each in php.requests] == [0, 1]


def test_stderr_is_logged_and_may_spoil_an_answer(proxy: Any, backend: Callable[..., FastCgiBackend]) -> None:
    def warns(request: FastCgiRequest) -> bytes:
        return fcgi(STDERR, b"PHP mess\x1bage: Fat") + fcgi(STDERR, b"al error\n") + says("\r\nhello")

    php = backend(warns)
    front = through(proxy, php)
    assert front.get("/").text == "hello"
    assert front.logged(r'FastCGI sent in stderr: "PHP mess\\x1Bage: Fat" while reading response', name="error.log")
    front = through(proxy, php, 'fastcgi_catch_stderr "Fatal error";')
    assert front.get("/").status == 502
    assert front.logged('what fastcgi_catch_stderr names: "Fatal error"', name="error.log")


def test_another_server_is_tried(proxy: Any, backend: Callable[..., FastCgiBackend]) -> None:
    full = backend(lambda request: ending(2)[8:])
    busy = backend(lambda request: says("Status: 503 Busy\r\n\r\n"))
    good = backend(lambda request: says("\r\ngood"))
    front = proxy(
        "http { upstream php { server 127.0.0.1:{port:full}; server 127.0.0.1:{port:busy}; "
        "server 127.0.0.1:{port:good}; } server { listen 127.0.0.1:{port:front}; location / { fastcgi_pass php; "
        "fastcgi_next_upstream error invalid_header http_503; } } }",
        ports={"full": full.port, "busy": busy.port, "good": good.port},
    )
    assert front.get("/").text == "good"
    assert (len(full.requests), len(busy.requests)) == (1, 1)
    assert front.logged("upstream refused the request: FCGI_OVERLOADED", name="error.log")


BAD = {
    "prematurely closed connection": b"",
    "prematurely closed FastCGI stdout": fcgi(STDOUT),
    "prematurely closed FastCGI request": ending()[8:],
    "too big header": fcgi(STDOUT, b"X" * 9000 + b": y\r\n"),
    'invalid status "101"': fcgi(STDOUT, b"Status: 101 Go\r\n\r\n"),
    "invalid header": fcgi(STDOUT, b"a b\r\n\r\n"),
    "unexpected FastCGI request id: 2": fcgi(STDOUT, b"\r\n", request=2),
    "unsupported FastCGI protocol version: 72": b"HTTP/1.1 200 OK\r\n\r\n",
}


def test_bad_answers_are_502(proxy: Any, backend: Callable[..., FastCgiBackend]) -> None:
    php = backend(*((lambda request, answer=answer: answer) for answer in BAD.values()))
    front = proxy(
        in_server("location / { fastcgi_pass 127.0.0.1:{port:php}; }"), ports={"php": php.port}
    )
    for said in BAD:
        assert front.get("/").status == 502
        assert front.logged(said, name="error.log")


def test_an_answer_that_breaks_off_is_cut_off(proxy: Any, backend: Callable[..., FastCgiBackend]) -> None:
    php = backend(lambda request: fcgi(STDOUT, b"\r\n" + b"x" * 1000))
    front = through(proxy, php)
    with front.client(timeout=10) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        text = client.recv_all()
    assert text.startswith(b"HTTP/1.1 200 OK") and not text.endswith(b"0\r\n\r\n")
    assert front.logged("upstream prematurely closed connection while reading upstream", name="error.log")


def test_headers_of_an_answer(proxy: Any, backend: Callable[..., FastCgiBackend], tmp_path: Path) -> None:
    text = "Status: 404 Gone Away\r\nServer: php\r\nX-Powered-By: x\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\nlost"
    php = backend(lambda request: says(text))
    got = through(proxy, php, "fastcgi_hide_header X-Powered-By; fastcgi_pass_header Status;").get("/")
    assert (got.status, got.reason, got.text) == (404, "Gone Away", "lost")
    assert got.header("Server") == "php" and got.header("Status") == "404 Gone Away"
    assert got.header("X-Powered-By") is None
    assert through(proxy, php, "fastcgi_intercept_errors on; error_page 404 =200 /o; "
                   "location /o { return 200 ours; }").get("/").text == "ours"
    moved = backend(lambda request: says("Location: /there\r\n\r\n"))
    got = through(proxy, moved).get("/")
    assert (got.status, got.reason) == (302, "Moved Temporarily")
    sent = backend(lambda request: says("X-Accel-Redirect: /in/file\r\n\r\nnot this"))
    front = through(proxy, sent, "location /in/ { internal; return 200 inside; }")
    assert front.get("/").text == "inside"
    front = through(proxy, sent, "fastcgi_ignore_headers X-Accel-Redirect;")
    assert front.get("/").text == "not this"


def test_what_is_written_is_seen_at_once_without_buffering(
    proxy: Any, backend: Callable[..., FastCgiBackend]
) -> None:
    def dripping(request: FastCgiRequest) -> Iterator[bytes | float]:
        yield fcgi(STDOUT, b"Content-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        eventually(lambda: seen)
        yield fcgi(STDOUT, b"data: 2\n\n") + ending()

    seen: list[bytes] = []
    front = through(proxy, backend(dripping), "fastcgi_buffering off;")
    with front.client(timeout=10) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        seen.append(client.recv_until(b"data: 1\n\n"))
        assert b"data: 2\n\n" in client.recv_all()


def test_large_answers_come_whole(proxy: Any, backend: Callable[..., FastCgiBackend]) -> None:
    body = os.urandom(1 << 20)
    php = backend(lambda request: says(b"Content-Length: %d\r\n\r\n" % len(body) + body))
    small = "fastcgi_buffers 2 4k; fastcgi_busy_buffers_size 4k; fastcgi_keep_conn on;"
    for more in ("", "fastcgi_buffering off;", small):
        assert through(proxy, php, more).get("/").body == body


def test_a_unix_socket_and_a_name_with_variables(
    proxy: Any, backend: Callable[..., FastCgiBackend], tmp_path: Path
) -> None:
    backend(lambda request: says("\r\nunix"), path=tmp_path / "s")
    tcp = backend(lambda request: says("\r\ntcp"))
    front = proxy(
        in_server(
            "location / { fastcgi_pass unix:{value:socket}; } "
            "location /v { set $to 127.0.0.1:{port:tcp}; fastcgi_pass $to; }"
        ),
        values={"socket": str(tmp_path / "s")},
        ports={"tcp": tcp.port},
    )
    assert (front.get("/").text, front.get("/v").text) == ("unix", "tcp")


def test_a_scheme_is_not_part_of_the_address(proxy: Any) -> None:
    refused = proxy.refuses(in_server("location / { fastcgi_pass fastcgi://127.0.0.1:9000; }"))
    assert 'invalid host in upstream "fastcgi://' in refused.output
