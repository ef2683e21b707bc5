"""access_log ... on=open|close|both."""

from websockets.sync.client import connect

from harness.proxy import in_http

FRONT = in_http(
    """
    log_format event "$tunnel_event $request_method $uri $status $body_bytes_sent";
    server {
        listen 127.0.0.1:{port:front};
        access_log both.log event on=both;
        access_log open.log event on=open;
        access_log close.log event on=close;
        access_log usual.log event;
        websocket auto;
        location / { proxy_pass http://127.0.0.1:{port:back}; }
        location /plain { return 200; }
    }
    """
)


def test_a_tunnel_shows_when_it_opens(proxy, ws_backend) -> None:
    front = proxy(FRONT, ports={"back": ws_backend.port})
    with connect(front.url("/ws", "ws"), proxy=None) as client:
        front.logged("^open GET /ws 101 0\n", name="both.log")
        assert front.access_log("open.log") == "open GET /ws 101 0\n"
        assert front.access_log("close.log") == front.access_log("usual.log") == ""
        client.send("hello")
        assert client.recv(20) == "hello"
    front.logged(r"close GET /ws 101 \d\d", name="usual.log")
    assert front.get("/plain").status == 200
    front.logged("plain", name="usual.log")
    assert front.access_log("both.log").count("\n") == 3
    assert front.access_log("open.log").splitlines() == ["open GET /ws 101 0", "- GET /plain 200 0"]
    assert front.access_log("close.log") == front.access_log("usual.log")


def test_a_word_that_is_none(proxy) -> None:
    refusal = proxy.check(in_http("server { listen 127.0.0.1:{port:x}; access_log a.log combined on=start; }"))
    assert refusal.code and "it may be: on=open, close, both" in refusal.output
