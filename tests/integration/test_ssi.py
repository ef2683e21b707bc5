"""Server-side includes and the subrequests they make, in whole processes; nginx answers the same."""

import pytest

FRONT = """
http {
    log_format parts "$uri $status $body_bytes_sent";
    map $arg_k $mapped { default "none"; a A; }
    server {
        listen 127.0.0.1:{port:front};
        root {dir}/www;
        log_subrequest on;
        access_log parts.log parts;
        ssi on;
        default_type text/html;
        error_log error.log info;

        location / { }
        location /plain { ssi off; }
        location /api/ { proxy_pass http://127.0.0.1:{port:api}; }
        location /cycle { return 200 '<!--#include virtual="/cycle" -->'; }
        location /twice { return 200 '<!--#include virtual="/twice" --><!--#include virtual="/twice" -->x'; }
        location /closed { deny all; return 200 "secret"; }
        location /say { return 200 "[$arg_k $mapped $request_method $uri]"; }
        location /inner { internal; return 200 inside; }
    }
}
"""

PAGES = {
    "echo": ('<<!--#echo var="arg_a" -->><!--#echo var="arg_b" default="-" -->', "/echo?a=%3Cx", "<%3Cx>-"),
    "entity": ('<!--#set var="v" value="<&" --><!--#echo var="v" -->', "/entity", "&lt;&amp;"),
    "set": ('<!--#set var="v" value="\\$ ${arg_a}b" --><!--#echo var="V" encoding="none" -->', "/set?a=1", "$ 1b"),
    "include": ('a<!--#include virtual="say?k=a" -->b', "/include?k=z", "a[a A GET /say]b"),
    "relative": ('<!--#include file="say" -->', "/relative", "[ none GET /say]"),
    "stored": (
        '<!--#include virtual="/say?k=1" set="x" -->(<!--#echo var="x" encoding="none" -->)',
        "/stored",
        "([1 none GET /say])",
    ),
    "internal": ('<!--#include virtual="/inner" -->', "/internal", "inside"),
    "access": ('<!--#include virtual="/closed" -->', "/access", "secret"),
    "stub": (
        '<!--#block name="b" -->none <!--#echo var="arg_x" --><!--#endblock -->'
        '<!--#include virtual="/missing?x=1" stub="b" -->',
        "/stub",
        "none 1",
    ),
    "branch": (
        '<!--#if expr="$arg_a = /^(x+)/" --><!--#echo var="1" --><!--#elif expr="$arg_b" -->b<!--#else -->c'
        "<!--#endif -->.",
        "/branch?a=xx",
        "xx.",
    ),
    "wrong": ('a<!--#nothing -->b<!--#config errmsg="E" --><!--#echo -->', "/wrong", None),
    "plain": ('<!--#echo var="arg_a" -->', "/plain", '<!--#echo var="arg_a" -->'),
}


@pytest.fixture(params=["proxy", "nginx"])
def front(request, http_backend):
    files = {f"www/{name}": page for name, (page, _, _) in PAGES.items()}
    files["www/proxied"] = '(<!--#include virtual="/api/x" -->)'
    return request.getfixturevalue(request.param)(FRONT, ports={"api": http_backend.port}, files=files)


def test_pages(front) -> None:
    for name, (_, target, expected) in PAGES.items():
        answer = front.get(target)
        text = answer.text
        if expected is None:
            expected = "a[an error occurred while processing the directive]bE"
        assert (name, answer.status, text) == (name, 200, expected)


def test_what_is_included_is_logged_where_that_is_asked_for(front) -> None:
    front.get("/include")
    front.logged(r"/say 200 \d+", name="parts.log")
    front.logged(r"/include 200 \d+", name="parts.log")


def test_headers_of_the_file_do_not_speak_of_the_page(front) -> None:
    answer = front.get("/echo")
    assert answer.header("last-modified") is None
    assert answer.header("etag") is None
    assert front.get("/plain").header("last-modified") is not None


def test_from_a_backend(front) -> None:
    assert front.get("/proxied").text.startswith("(")
    front.client().send("HEAD /proxied HTTP/1.0\r\n\r\n").recv_all()
    assert front.get("/proxied").status == 200


def test_a_cycle_ends(front) -> None:
    assert front.get("/cycle").status == 200
    front.logged("subrequests cycle while processing", name="error.log")


@pytest.mark.alone
def test_a_cycle_that_doubles_ends_and_holds_up_nobody(proxy) -> None:
    """Fifty levels, each of which asks for the next one twice, are more than there is time for."""
    front = proxy(FRONT, ports={"api": 1}, files={"www/both.html": PAGE_OF_ITSELF})
    for path in ("/twice", "/both.html"):
        with front.client(timeout=60) as client:
            client.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while b"subrequests cycle" not in front.error_log().encode():
                assert front.get("/say", timeout=10).status == 200  # others are served meanwhile
            assert client.response().status == 200
    front.logged("subrequests cycle while processing", name="error.log")


PAGE_OF_ITSELF = 2 * '<!--#include virtual="/both.html" -->'
