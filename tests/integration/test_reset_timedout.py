"""`reset_timedout_connection`: who stalls, or is sent away without a word, gets a reset; and else an orderly end."""

import pytest

from harness.proxy import in_http

CONF = """
log_format short "$status";
access_log access.log short;
error_log error.log info;
client_body_timeout 300ms;
client_header_timeout 300ms;
server {
    listen 127.0.0.1:{port:front};
    location = /444 { return 444; }
    location = /body { proxy_pass http://127.0.0.1:1; }
    location = /rest { return 200 "x"; }
}
server {
    listen 127.0.0.1:{port:resetting};
    reset_timedout_connection on;
    location = /444 { return 444; }
    location = /body { proxy_pass http://127.0.0.1:1; }
    location = /rest { return 200 "x"; }
}
"""
POST = "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nab"
STALLS = {
    "no answer": ("GET /444 HTTP/1.1\r\nHost: localhost\r\n\r\n", 444),
    "a body that a backend waits for": (POST.format("/body"), 408),
    "the rest of a body that nobody wants": (POST.format("/rest"), 200),
    "half a head": ("GET / HTTP/1.1\r\nHost:", 408),
}


@pytest.mark.parametrize(("asked", "status"), STALLS.values(), ids=STALLS)
def test_who_stalls_gets_a_reset_only_where_it_is_asked_for(proxy, asked: str, status: int) -> None:
    front = proxy(in_http(CONF))
    for name, end in (("front", "an orderly end"), ("resetting", "a reset")):
        with front.client(name) as client:
            client.send(asked)
            try:
                client.recv_all()
                ended = "an orderly end"
            except ConnectionResetError:
                ended = "a reset"
        assert ended == end
    assert front.logged(rf"{status}\n{status}\n")
