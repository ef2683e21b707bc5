"""CONNECT: a tunnel to where the client asks for."""

from harness.backends import hold, read_until_end
from harness.ports import free_port
from harness.proxy import in_http
from harness.waiting import eventually

CONFIGURATION = in_http(
    """
    log_format tunnel "$status [$upstream_addr] [$upstream_status] $upstream_bytes_sent $upstream_bytes_received";
    access_log access.log tunnel;
    upstream group { server 127.0.0.1:{port:dead}; server 127.0.0.1:{port:back}; }
    server { listen 127.0.0.1:{port:front}; tunnel_pass; add_header X-Way through; }
    server { listen 127.0.0.1:{port:front}; server_name plain; location / { return 200 "plain"; } }
    server { listen 127.0.0.1:{port:fixed}; tunnel_pass group; tunnel_read_timeout 300ms; }
    server { listen 127.0.0.1:{port:closed}; tunnel_pass; deny all; }
    server { listen 127.0.0.1:{port:none}; location / { return 200 "plain"; } }
    """
)
CONNECT = "CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n"


def start(proxy, backend):
    return proxy(CONFIGURATION, ports={"back": backend.port, "dead": free_port()})


def ask(client, where: str, early: bytes = b""):
    client.send(CONNECT.format(where).encode() + early)
    return client.response("HEAD")  # a 200 to CONNECT has no body either


def test_a_tunnel_to_where_the_client_asks_for(proxy, raw_backend) -> None:
    backend = raw_backend([b"first", read_until_end, b"late"])
    front = start(proxy, backend)
    where = f"127.0.0.1:{backend.port}"
    with front.client() as client:
        got = ask(client, where, b"pipelined")
        assert (got.status, got.reason) == (200, "OK")
        assert (got.header("X-Way"), got.header("Connection")) == ("through", "close")
        assert got.header("Transfer-Encoding") is None and got.header("Content-Length") is None
        assert client.recv_exactly(5) == b"first"
        client.send(b"more").half_close()
        assert client.recv_all() == b"late"
    eventually(lambda: backend.conversations[0].received == b"pipelinedmore")
    front.logged(rf"200 \[{where}\] \[200\] 13 9")


def test_the_next_peer_is_tried_and_silence_ends_a_tunnel(proxy, raw_backend) -> None:
    front = start(proxy, raw_backend([b"x", hold]))
    with front.client(port="fixed") as client:
        assert ask(client, "example.com:443").status == 200
        assert client.recv_all() == b"x"
    front.logged(r"200 \[127.0.0.1:\d+, 127.0.0.1:\d+\] \[502, 200\] 0, 0 0, 1")
    front.logged("tunnel_read_timeout", name="error.log")


def test_who_gets_no_tunnel(proxy, raw_backend) -> None:
    front = start(proxy, raw_backend([hold]))

    def status(where: str, port: str = "front") -> int:
        with front.client(port=port) as client:
            return ask(client, where).status

    assert status(f"127.0.0.1:{front.ports['dead']}") == 502
    assert status("127.0.0.1:1", "closed") == 403
    assert status("127.0.0.1:1", "none") == 405
    assert status("plain:80") == 405, "another server of the address has the tunnel"
    assert status("unix:80") == 500
    assert status("127.0.0.1") == 400


def test_who_must_say_who_he_is(proxy, raw_backend) -> None:
    backend = raw_backend([b"in", hold])
    text = """
        server {
            listen 127.0.0.1:{port:front};
            tunnel_pass;
            auth_basic tunnels;
            auth_basic_user_file users;
        }
    """
    front = proxy(in_http(text), files={"users": "user:{PLAIN}secret\n"})
    where = f"127.0.0.1:{backend.port}"
    with front.client() as client:
        got = ask(client, where)
        assert (got.status, got.header("Proxy-Authenticate")) == (407, 'Basic realm="tunnels"')
    with front.client() as client:
        head = CONNECT.format(where).removesuffix("\r\n") + "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n\r\n"
        assert client.send(head).response("HEAD").status == 200
        assert client.recv_exactly(2) == b"in"
