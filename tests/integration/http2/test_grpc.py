"""grpc_pass between the client and the server of grpcio, and to servers that do as they please."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from signal import SIGQUIT
from typing import Any

import pytest

grpc = pytest.importorskip("grpc", reason="no grpcio")

CONF = """
    http {
        upstream greeters { server 127.0.0.1:{port:greeter}; keepalive 4; }
        server {
            listen 127.0.0.1:{port:front};
            http2 on;
            location / { grpc_pass grpc://greeters; grpc_set_header X-Ours ours; {value:more} }
            location /dead/ { grpc_pass grpc://127.0.0.1:{port:nobody}; }
            location /paged/ { grpc_pass grpc://127.0.0.1:{port:nobody}; error_page 502 = @paged; }
            location @paged { default_type application/grpc; add_header grpc-status 8 always; return 204; }
        }
    }
    """
DEADLINE = 20


class Greeter(grpc.GenericRpcHandler):
    """Methods named by their paths, on plain bytes."""

    def __init__(self) -> None:
        self.metadata: dict[str, str] = {}
        self.ended = threading.Event()

    def service(self, details: Any) -> Any:
        self.metadata = dict(details.invocation_metadata)
        match details.method.rpartition("/")[2]:
            case "Hello":
                return grpc.unary_unary_rpc_method_handler(self.hello)
            case "Count":
                return grpc.unary_stream_rpc_method_handler(lambda asked, _: (b"%d" % n for n in range(int(asked))))
            case "Sum":
                return grpc.stream_unary_rpc_method_handler(lambda pieces, _: b"%d" % sum(map(len, pieces)))
            case "Talk":
                return grpc.stream_stream_rpc_method_handler(self.talk)
            case "Refuse":
                return grpc.unary_unary_rpc_method_handler(
                    lambda _, context: context.abort(grpc.StatusCode.PERMISSION_DENIED, "not you")
                )
        return None

    def hello(self, asked: bytes, context: Any) -> bytes:
        context.send_initial_metadata((("x-early", "1"),))
        context.set_trailing_metadata((("x-late", "2"),))
        return b"hello " + asked

    def talk(self, pieces: Iterator[bytes], context: Any) -> Iterator[bytes]:
        context.add_callback(self.ended.set)
        yield b"you first?"
        for piece in pieces:
            yield piece.upper()


def serving(greeter: Greeter, credentials: Any = None) -> tuple[Any, int]:
    server = grpc.server(ThreadPoolExecutor(8), handlers=(greeter,))
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    return server, port


@pytest.fixture
def greeter() -> Iterator[tuple[Greeter, int]]:
    """A server and its port."""
    made = Greeter()
    server, port = serving(made)
    yield made, port
    server.stop(None).wait(10)


@pytest.fixture
def reach() -> Iterator[Callable[[Any], Any]]:
    """Channels to a proxy."""
    made: list[Any] = []

    def channel(front: Any) -> Any:
        # The proxy's port may be one that another channel of this process has failed at.
        made.append(grpc.insecure_channel(f"127.0.0.1:{front.port('front')}", (("grpc.use_local_subchannel_pool", 1),)))
        return made[-1]

    yield channel
    for each in made:
        each.close()


def test_calls_of_every_kind(proxy: Any, greeter: tuple[Greeter, int], reach: Callable[[Any], Any]) -> None:
    server, port = greeter
    channel = reach(proxy(CONF, ports={"greeter": port}, values={"more": ""}))
    answer, call = channel.unary_unary("/g.G/Hello").with_call(b"you", timeout=DEADLINE, metadata=(("x-mine", "a"),))
    assert answer == b"hello you"
    assert dict(call.initial_metadata())["x-early"] == "1"
    assert dict(call.trailing_metadata())["x-late"] == "2"
    assert (server.metadata["x-mine"], server.metadata["x-ours"]) == ("a", "ours")
    assert channel.unary_unary("/g.G/Hello")(b"x" * 1_000_000, timeout=DEADLINE) == b"hello " + b"x" * 1_000_000
    assert list(channel.unary_stream("/g.G/Count")(b"500", timeout=DEADLINE)) == [b"%d" % n for n in range(500)]
    assert channel.stream_unary("/g.G/Sum")(iter([b"x" * 1000] * 300), timeout=DEADLINE) == b"300000"
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/g.G/Refuse")(b"", timeout=DEADLINE)
    assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.PERMISSION_DENIED, "not you")
    with pytest.raises(grpc.RpcError) as unknown:
        channel.unary_unary("/g.G/None")(b"", timeout=DEADLINE)
    assert unknown.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_both_sides_talk_at_once_and_a_reload_does_not_disturb(
    proxy: Any, greeter: tuple[Greeter, int], reach: Callable[[Any], Any]
) -> None:
    server, port = greeter
    front = proxy(CONF, ports={"greeter": port}, values={"more": ""})
    channel = reach(front)
    words: list[bytes] = []
    more = threading.Condition()

    def said() -> Iterator[bytes]:
        while True:
            with more:
                more.wait_for(lambda: words, DEADLINE)
                word = words.pop(0)
            if not word:
                return
            yield word

    def say(word: bytes) -> None:
        with more:
            words.append(word)
            more.notify()

    heard = channel.stream_stream("/g.G/Talk")(said(), timeout=DEADLINE)
    assert next(heard) == b"you first?"
    for word in (b"a", b"b" * 50_000):
        say(word)
        assert next(heard) == word.upper()
    front.reload(CONF.replace("X-Ours ours", "X-Ours others"))
    assert channel.unary_unary("/g.G/Hello")(b"2", timeout=DEADLINE) == b"hello 2"
    say(b"still")
    assert next(heard) == b"STILL"
    say(b"")
    assert list(heard) == []
    other = channel.stream_stream("/g.G/Talk")(said(), timeout=DEADLINE)
    assert next(other) == b"you first?"
    server.ended.clear()
    other.cancel()
    assert server.ended.wait(DEADLINE)
    say(b"")


def test_what_is_under_way_comes_to_its_end_when_the_proxy_leaves(
    proxy: Any, greeter: tuple[Greeter, int], reach: Callable[[Any], Any]
) -> None:
    _, port = greeter
    front = proxy(CONF, ports={"greeter": port}, values={"more": ""})
    go = threading.Event()

    def said() -> Iterator[bytes]:
        assert go.wait(DEADLINE)
        yield b"late"

    heard = reach(front).stream_stream("/g.G/Talk")(said(), timeout=DEADLINE)
    assert next(heard) == b"you first?"
    front.send_signal(SIGQUIT)
    front.logged("gracefully shutting down", name="error.log")
    go.set()
    assert list(heard) == [b"LATE"]
    front.stop()


def test_failures_are_told_in_grpc_s_terms(
    proxy: Any, greeter: tuple[Greeter, int], reach: Callable[[Any], Any]
) -> None:
    _, port = greeter
    front = proxy(CONF, ports={"greeter": port}, values={"more": ""})
    channel = reach(front)
    with pytest.raises(grpc.RpcError) as dead:
        channel.unary_unary("/dead/Hello")(b"", timeout=DEADLINE)
    assert (dead.value.code(), dead.value.details()) == (grpc.StatusCode.UNAVAILABLE, "the server can not be reached")
    with pytest.raises(grpc.RpcError) as paged:
        channel.unary_unary("/paged/Hello")(b"", timeout=DEADLINE)
    assert paged.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert front.get("/dead/Hello").status == 502


def test_another_server_is_tried_and_tls_is_spoken(
    proxy: Any, authority: Any, reach: Callable[[Any], Any]
) -> None:
    pair = authority.issue("greeter.test")
    keys = ((pair.key.read_bytes(), pair.certificate.read_bytes()),)
    server, port = serving(Greeter(), grpc.ssl_server_credentials(keys))
    front = proxy(
        "http { upstream greeters { server 127.0.0.1:{port:nobody}; server 127.0.0.1:{port:greeter}; } server { "
        "listen 127.0.0.1:{port:front}; http2 on; location / { grpc_pass grpcs://greeters; grpc_ssl_verify on; "
        "grpc_ssl_name greeter.test; grpc_ssl_server_name on; grpc_ssl_trusted_certificate {value:ca}; } } }",
        ports={"greeter": port},
        values={"ca": str(authority.certificate)},
    )
    try:
        call = reach(front).unary_unary("/g.G/Hello")
        assert [call(b"%d" % n, timeout=DEADLINE) for n in range(3)] == [b"hello 0", b"hello 1", b"hello 2"]
    finally:
        server.stop(None).wait(10)
