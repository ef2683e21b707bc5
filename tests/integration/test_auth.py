"""auth_basic, auth_request and satisfy in whole processes; nginx answers the same unless a test says otherwise."""

from base64 import b64encode

import pytest

from harness.raw import raw_http

FRONT = """
http {
    map $http_upgrade $upgrading { default upgrade; '' close; }
    server {
        listen 127.0.0.1:{port:front};
        error_log error.log info;
        root {dir}/www;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $upgrading;

        location /basic { auth_basic "the $arg_realm realm"; auth_basic_user_file users; try_files /none =204; }
        location /basic/off { auth_basic off; try_files /none =204; }
        location /nofile { auth_basic x; auth_basic_user_file none; }
        location /asked {
            auth_request /ask;
            auth_request_set $who $upstream_http_x_who;
            add_header X-Who $who;
            try_files /none =204;
        }
        location /posted { auth_request /ask; proxy_pass http://127.0.0.1:{port:front}/echo; }
        location /any {
            satisfy any;
            auth_request /ask;
            auth_basic x;
            auth_basic_user_file users;
            try_files /none =204;
        }
        location = /ask { internal; proxy_pass http://127.0.0.1:{port:judge}/judge?$args; }
        location /echo { try_files /none =202; }
    }
    server {
        listen 127.0.0.1:{port:judge};
        location / {
            add_header X-Who "user of $request_uri $http_upgrade $content_length" always;
            if ($http_x_verdict = no) { return 403; }
            if ($http_x_verdict = who) { add_header WWW-Authenticate "Bearer x" always; return 401; }
            if ($http_x_verdict = odd) { return 404; }
            return 204;
        }
    }
}
"""
USERS = "# comment\nann:{PLAIN}secret:more\nbob:$apr1$salt$Xxd1irWT9ycqoYxGFn4cb.\ncarl:$6$salt$wrong"


@pytest.fixture(params=["proxy", "nginx"])
def front(request):
    return request.getfixturevalue(request.param)(FRONT, files={"users": USERS})


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


def test_names_and_passwords(front) -> None:
    statuses = [
        front.get("/basic", headers=headers).status
        for headers in ({}, basic("ann", "secret"), basic("ann", "Secret"), basic("bob", "password"),
                        basic("carl", "x"), basic("dora", ""), basic("# comment", ""))
    ]  # fmt: skip
    assert statuses == [401, 204, 401, 204, 401, 401, 401]
    assert front.get("/basic?realm=open").header("www-authenticate") == 'Basic realm="the open realm"'
    assert front.get("/basic/off").status == 204
    assert front.get("/nofile", headers=basic("ann", "secret")).status == 403
    front.logged('user "ann": password mismatch', name="error.log")
    front.logged('user "dora" was not found in', name="error.log")


@pytest.mark.parametrize("password", ["", "\0", "\0x", "x"])
def test_a_user_without_a_hash_is_let_in_by_no_password(front, password) -> None:
    front.write("users", "eve:\nadam:*\ncain::\nann:{PLAIN}secret")
    for user in ("eve", "adam", "cain"):
        assert front.get("/basic", headers=basic(user, password)).status == 401
    assert front.get("/basic", headers=basic("ann", "secret")).status == 204


def test_who_is_asked_decides(front) -> None:
    answer = front.get("/asked?q")
    assert answer.status == 204
    assert (answer.header("x-who") or "").startswith("user of /judge?")
    assert front.get("/asked", headers={"X-Verdict": "no"}).status == 403
    refused = front.get("/asked", headers={"X-Verdict": "who"})
    assert (refused.status, refused.header("www-authenticate")) == (401, "Bearer x")
    assert front.get("/asked", headers={"X-Verdict": "odd"}).status == 500
    front.logged("auth request unexpected status: 404", name="error.log")


def test_any_will_do(front) -> None:
    assert front.get("/any").status == 204
    assert front.get("/any", headers={"X-Verdict": "no"}).status == 401
    assert front.get("/any", headers={"X-Verdict": "no", **basic("ann", "secret")}).status == 204


def test_a_handshake_does_not_confuse_who_is_asked(proxy) -> None:
    """nginx passes Upgrade on to who is asked wherever proxy_set_header is inherited."""
    front = proxy(FRONT, files={"users": USERS})
    said = raw_http(
        front.port(),
        "GET /asked HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n",
    )
    assert said.startswith(b"HTTP/1.1 204 ")
    assert b"X-Who: user of /judge?\r\n" in said


def test_a_body_is_for_the_request_itself(proxy) -> None:
    """nginx announces the body to who is asked, without sending it, unless Content-Length is taken out by hand."""
    front = proxy(FRONT, files={"users": USERS})
    said = raw_http(
        front.port(), "POST /posted HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
    )
    assert said.startswith(b"HTTP/1.1 ") and b"202" in said.splitlines()[0]
