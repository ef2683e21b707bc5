"""Copies of requests: what they carry, that nobody waits for them, and that their failures are theirs."""

import pytest

from harness.raw import raw_http

FRONT = """
http {
    log_format seen "$request_method $request_uri $http_x_a $content_length";
    limit_req_zone $uri zone=slow:1m rate=10r/m;
    server {
        listen 127.0.0.1:{port:front};
        location / { mirror /copy; proxy_pass http://127.0.0.1:{port:first}; }
        location /bodiless { mirror /copy-bodiless; mirror_request_body off; proxy_pass http://127.0.0.1:{port:first}; }
        location /slow { mirror /copy-slow; proxy_pass http://127.0.0.1:{port:first}; }
        location /gone { mirror /copy-gone; proxy_pass http://127.0.0.1:{port:first}; }
        location /copy { internal; proxy_pass http://127.0.0.1:{port:second}; }
        location /copy-bodiless {
            internal;
            proxy_pass http://127.0.0.1:{port:second};
            proxy_set_header Content-Length "";
        }
        location /copy-slow { internal; limit_req zone=slow burst=5; proxy_pass http://127.0.0.1:{port:second}; }
        location /copy-gone { internal; proxy_pass http://127.0.0.1:{port:nobody}; }
    }
    server { listen 127.0.0.1:{port:first}; return 200 first; }
    server { listen 127.0.0.1:{port:second}; access_log seen.log seen; location / { return 200 second; } }
}
"""


@pytest.fixture(params=["proxy", "nginx"])
def front(request):
    return request.getfixturevalue(request.param)(FRONT)


def post(front, path: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-A: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
    return raw_http(front.port(), head + "hello")


def test_a_copy_has_everything(front) -> None:
    assert post(front, "/x?q=1").endswith(b"first")
    front.logged(r"POST /copy\?q=1 a 5\n", name="seen.log")


def test_a_copy_without_the_body(front) -> None:
    assert post(front, "/bodiless").endswith(b"first")
    front.logged(r"POST /copy-bodiless a -\n", name="seen.log")


def test_the_answer_does_not_wait_for_copies(proxy) -> None:
    front = proxy(FRONT)
    post(front, "/slow")
    with front.client() as client:
        client.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").recv_until(b"first")
    assert front.access_log("seen.log").count("/copy-slow") < 2, "the second one has to wait for six seconds"
    front.logged(r"(?s)(/copy-slow.*){2}", name="seen.log")


def test_a_copy_that_fails_is_no_trouble(front) -> None:
    assert post(front, "/gone").endswith(b"first")
    front.logged("connect\\(\\) failed .* subrequest: \"/copy-gone\"", name="error.log")
