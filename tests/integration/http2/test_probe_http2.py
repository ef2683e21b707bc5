"""`penstock probe --http2`: a WebSocket inside of HTTP/2, healthy, refused, not offered; and no HTTP/2 at all."""

import json

from harness.backends import RawBackend, pause
from harness.binary import installed
from harness.programs import run
from harness.proxy import in_http

FRONT = in_http(
    """
    http2 on;
    http2_extended_connect on;
    server {
        listen 127.0.0.1:{port:front};
        listen 127.0.0.1:{port:tls} ssl;
        ssl_certificate {value:certificate};
        ssl_certificate_key {value:key};
        websocket auto;
        location / { proxy_pass http://127.0.0.1:{port:back}; }
        location /idle { proxy_pass http://127.0.0.1:{port:back}; proxy_read_timeout 1s; }
        location /ours { websocket_origins https://app.example; proxy_pass http://127.0.0.1:{port:back}; }
    }
    server {
        listen 127.0.0.1:{port:without};
        http2_extended_connect off;
        location / { proxy_pass http://127.0.0.1:{port:back}; }
    }
    server {
        listen 127.0.0.1:{port:old} ssl;
        http2 off;
        ssl_certificate {value:certificate};
        ssl_certificate_key {value:key};
        location / { return 200 old; }
    }
    """
)


def probe(*arguments: str) -> tuple[int, dict[str, str]]:
    """The exit code, and what was said of each step."""
    command = [*installed().command, "probe", "--http2", "--json", *arguments]
    done = run(command)
    assert not done.stderr, done.stderr
    steps = json.loads(done.stdout)["steps"]
    return done.returncode, {each["step"]: json.dumps(each, ensure_ascii=False) for each in steps}


def test_each_is_named(proxy, ws_backend, authority) -> None:
    pair = authority.issue("localhost")
    values = {"certificate": pair.certificate, "key": pair.key}
    front = proxy(FRONT, ports={"back": ws_backend.port}, values=values)

    def at(port: str) -> str:
        return f"://localhost:{front.port(port)}"

    for url in (f"ws{at('front')}/chat", f"wss{at('tls')}/chat"):
        code, said = probe(url, "--cafile", str(authority.certificate), "--protocol", "chat,other")
        assert code == 0, said
        assert "200, the WebSocket is open inside of HTTP/2" in said["handshake"]
        assert "permessage-deflate" in said["handshake"]
        assert "a message comes back as it was" in said["echo"] and "ping" in said
    path, headers = ws_backend.handshakes[-1]
    assert path == "/chat" and headers["Sec-WebSocket-Protocol"] == "chat,other"
    code, said = probe(f"ws{at('front')}/ours")
    assert code == 6 and "refused: 403" in said["handshake"] and "does not list this Origin" in said["handshake"]
    assert "no Origin at all is accepted" in said["origin"]
    command = [*installed().command, "probe", "--http2", f"ws://localhost:{ws_backend.port}/"]
    both = run([*command, "--via", f"ws{at('front')}"])
    assert both.returncode == 0 and both.stdout.count("the WebSocket is open inside of HTTP/2") == 1, both.stdout
    code, said = probe(f"ws{at('front')}/idle", "--idle", "3s")
    assert code == 7 and "idle" in said
    code, said = probe(f"ws{at('without')}/")
    assert code == 6 and "WebSockets inside of it are not (RFC 8441)" in said["handshake"]
    code, said = probe(f"wss{at('old')}/", "--cafile", str(authority.certificate))
    assert code == 5 and "HTTP/2 is not spoken here" in said["tls"], said
    code, said = probe(f"ws://localhost:{ws_backend.port}/")
    assert code == 6 and "HTTP/2 is not spoken here" in said["handshake"]


def test_a_port_that_says_nothing(raw_backend) -> None:
    silent: RawBackend = raw_backend([pause(3)])
    code, said = probe(f"ws://127.0.0.1:{silent.port}/", "--timeout", "500ms")
    assert code == 6 and "HTTP/2: silence for" in said["handshake"]
