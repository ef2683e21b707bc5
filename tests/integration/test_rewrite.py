"""rewrite, if, map, error_page, access and try_files in whole processes: the same table holds for nginx itself."""

import re

import pytest

FRONT = """
http {
    map $arg_k $mapped { default "else"; a A; ~^r(\\d+)$ "number $1"; }
    map $status $class { ~^(?<digit>.) "${digit}xx"; }
    map $uri $kept { ~^/(\\w+) $1; }
    map $uri $fresh { volatile; ~^/(\\w+) $1; }
    geo $arg_ip $place { default far; 10.0.0.0/8 near; }
    log_format own "$request_uri $status $class $mapped $sent_http_x_own";
    access_log own.log own;

    server {
        listen 127.0.0.1:{port:front};
        root {dir}/www;
        error_page 418 =200 /page;

        location / { }
        location /page { return 200 "page of $request_uri"; }
        location /last/ { rewrite ^/last/(.*)$ /show/$1?to=$1; }
        location /show { return 200 "$uri $args"; }
        location /moved/ { rewrite ^/moved/(.*)$ /there/$1 permanent; }
        location /away { return 302 http://other.example$request_uri; }
        location /bare { return 301; }
        location /close { return 444; }
        location /map { add_header X-Own "$mapped"; return 200 "$mapped $place"; }
        location /kept { set $both "$kept $fresh"; rewrite ^ /later; }
        location /later { return 200 "$both $kept $fresh"; }
        location /teapot { return 418; }
        location /named { error_page 404 = @named; return 404; }
        location @named { return 200 "named $uri"; }
        location /redirected { error_page 302 /page; return 302 /elsewhere; }
        location /denied { deny all; }
        location /denied-unless { allow 127.0.0.0/8; deny all; }
        location /if {
            add_header X-Own outer;
            if ($arg_a) { add_header X-Own inner; }
            if ($request_method = DELETE) { return 405; }
        }
        location /tries { try_files $uri $uri.txt /page; }
        location /missing { return 404 "nothing at $uri"; }
    }
}
"""


@pytest.fixture(params=["proxy", "nginx"])
def start(request):
    """Starts Penstock, and the same again with nginx."""
    return request.getfixturevalue(request.param)


ANSWERS = [
    ("GET /last/a%26b?q=1", 200, None, "/show/a&b to=a%26b&q=1"),
    ("GET /moved/a%20b?q", 301, "http://localhost:{port}/there/a%20b?q", None),
    ("GET /away?q", 302, "http://other.example/away?q", None),
    ("GET /bare", 301, "", None),
    ("GET /map?k=r12&ip=10.9.9.9", 200, None, "number 12 near"),
    ("GET /map?k=A", 200, None, "A far"),
    ("GET /kept", 200, None, "kept kept kept later"),
    ("GET /teapot", 200, None, "page of /teapot"),
    ("GET /named", 200, None, "named /named"),
    ("GET /redirected", 302, "http://localhost:{port}/elsewhere", "page of /redirected"),
    ("GET /denied", 403, None, None),
    ("GET /denied-unless", 404, None, None),
    ("GET /if/file.txt", 200, None, "file"),
    ("DELETE /if/file.txt", 405, None, None),
    ("GET /tries/file", 200, None, "tried"),
    ("GET /tries/nothing", 200, None, "page of /tries/nothing"),
    ("GET /missing", 404, None, "nothing at /missing"),
]


def test_answers(start) -> None:
    front = start(FRONT, files={"www/if/file.txt": "file", "www/tries/file.txt": "tried"})
    seen = []
    wanted = []
    for request, status, location, text in ANSWERS:
        method, target = request.split(" ")
        response = front.get(target, method=method)
        found = response.text if text is not None else None
        seen.append((request, response.status, response.header("location"), found))
        if location:
            location = location.replace("{port}", str(front.port()))
        wanted.append((request, status, location, text))
    assert seen == wanted


def test_the_last_if_that_holds_has_the_settings(start) -> None:
    front = start(FRONT, files={"www/if/file.txt": "file"})
    assert front.get("/if/file.txt").header("x-own") == "outer"
    assert front.get("/if/file.txt?a=1").header("x-own") == "inner"


def test_444_closes_without_a_word(start) -> None:
    front = start(FRONT)
    with front.client() as client:
        assert client.send("GET /close HTTP/1.1\r\nHost: localhost\r\n\r\n").recv_all() == b""


def test_logs_know_what_maps_say_at_the_end(start) -> None:
    front = start(FRONT)
    front.get("/map?k=a")
    front.get("/missing?k=zz")
    front.stop()
    lines = (front.directory / "own.log").read_text().splitlines()
    assert lines == ["/map?k=a 200 2xx A A", "/missing?k=zz 404 4xx else -"]


BACKEND = """
http {
    server {
        listen 127.0.0.1:{port:front};
        location /plain/ { proxy_pass http://127.0.0.1:{port:api}; }
        location /path/ { proxy_pass http://127.0.0.1:{port:api}/new/; }
        location /broken/ { rewrite ^/broken/(.*)$ /found/$1 break; proxy_pass http://127.0.0.1:{port:api}; }
        location /ignored/ { rewrite ^/ignored/(.*)$ /found/$1 break; proxy_pass http://127.0.0.1:{port:api}/new/; }
        location /args/ { set $args only=this; proxy_pass http://127.0.0.1:{port:api}; }
        location /either/ {
            proxy_pass http://127.0.0.1:{port:api}/outer/;
            if ($arg_a) { proxy_pass http://127.0.0.1:{port:api}; }
        }
    }
}
"""


@pytest.mark.parametrize(
    ("target", "passed"),
    [
        ("/plain/a%2Fb?q", "/plain/a%2Fb?q"),
        ("/path/a%20b?q", "/new/a%20b?q"),
        ("/broken/a%20b?q", "/found/a%20b?q"),
        ("/ignored/a?q", "/found/a?q"),
        ("/args/a%2Fb?q", "/args/a/b?only=this"),
        ("/either/x", "/outer/x"),
        ("/either/x?a=1", "/either/x?a=1"),
    ],
)
def test_what_a_backend_is_asked_for(start, http_backend, target: str, passed: str) -> None:
    front = start(BACKEND, ports={"api": http_backend.port})
    assert front.get(target).status == 200
    assert http_backend.requests[-1].target == passed


MISTAKES = [
    "if ($args == 1) { }",
    "if ($args) { if ($args) { } }",
    "return gone;",
    "rewrite ^ /x finally;",
    "set $host x;",
    "try_files /a =x;",
    "error_page 200 /x;",
    "allow nobody;",
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told_in_nginxs_words(proxy, nginx, mistake: str) -> None:
    text = f"http {{ server {{ listen 127.0.0.1:{{port:front}}; location / {{ {mistake} }} }} }}"

    def told(launcher) -> str:
        refusal = launcher.check(text)
        assert refusal.code == 1
        line = re.search(r"\[emerg\] (.*)", refusal.output)
        assert line is not None
        return re.sub(r"^\d+#\d+: | in \S+:\d+$", "", line[1])

    assert told(proxy) == told(nginx)
