"""Checks of gRPC servers: grpcio's own server with its health service, which says that it is going, and comes back."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from conftest import Launcher
from harness.certs import Authority
from harness.waiting import eventually

grpc = pytest.importorskip("grpc", reason="no grpcio")
health = pytest.importorskip("grpc_health.v1.health", reason="no grpcio-health-checking")
STATES = pytest.importorskip("grpc_health.v1.health_pb2").HealthCheckResponse

CONF = """
    worker_processes {workers};
    http {{
        upstream app {{ server 127.0.0.1:{{port:first}} max_fails=0; server 127.0.0.1:{{port:second}} max_fails=0; }}
        server {{
            listen 127.0.0.1:{{port:front}};
            http2 on;
            location / {{
                grpc_pass {scheme}://app;
                grpc_next_upstream off;
                health_check interval=1s type=grpc {more};
            }}
        }}
    }}
    """
SERVICE = "chat.Chat"
DEADLINE = 20


class Chat(grpc.GenericRpcHandler):
    """A server whose only method says who it is."""

    def __init__(self, name: bytes) -> None:
        self._name = name

    def service(self, details: Any) -> Any:
        if details.method == f"/{SERVICE}/Who":
            return grpc.unary_unary_rpc_method_handler(lambda asked, _: self._name)
        return None


class Served:
    """It knows how it is, unless it has no health service."""

    def __init__(self, name: bytes, *, healthy: bool = True, credentials: Any = None) -> None:
        self.health = health.HealthServicer()
        self._server = grpc.server(ThreadPoolExecutor(4), handlers=(Chat(name),))
        if healthy:
            from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

            add_HealthServicer_to_server(self.health, self._server)
        self.becomes(STATES.SERVING)
        if credentials is None:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            self.port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self._server.start()

    def becomes(self, state: Any) -> None:
        self.health.set(SERVICE, state)

    def stop(self) -> None:
        self._server.stop(None).wait(10)


@pytest.fixture
def served() -> Iterator[list[Served]]:
    made: list[Served] = []
    yield made
    for each in made:
        each.stop()


class Caller:
    """A client of the proxy."""

    def __init__(self, front: Any) -> None:
        port = front.port("front")
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", (("grpc.use_local_subchannel_pool", 1),))
        self._who = self.channel.unary_unary(f"/{SERVICE}/Who")

    def who(self, times: int = 8) -> set[bytes]:
        return {self._who(b"", timeout=DEADLINE) for _ in range(times)}


@pytest.fixture
def calls() -> Iterator[list[Caller]]:
    made: list[Caller] = []
    yield made
    for each in made:
        each.channel.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_who_is_not_serving_gets_nothing_until_it_is(
    proxy: Launcher, served: list[Served], calls: list[Caller], workers: int
) -> None:
    served += Served(b"first"), Served(b"second")
    first, second = served
    ports = {"first": first.port, "second": second.port}
    conf = CONF.format(workers=workers, scheme="grpc", more=f"mandatory grpc_service={SERVICE}")
    front = proxy(conf, ports=ports)
    calls.append(Caller(front))
    front.logged(rf"peer 127\.0\.0\.1:{first.port} in upstream \"app\" is healthy", name="error.log")
    front.logged(rf"peer 127\.0\.0\.1:{second.port} in upstream \"app\" is healthy", name="error.log")
    assert calls[0].who() == {b"first", b"second"}
    first.becomes(STATES.NOT_SERVING)
    front.logged(f':{first.port} in upstream "app" is unhealthy: it says NOT_SERVING', name="error.log")
    assert calls[0].who() == {b"second"}
    first.becomes(STATES.SERVING)
    eventually(lambda: calls[0].who() == {b"first", b"second"})


def test_who_knows_no_health_and_who_is_asked_for_nothing_it_has(
    proxy: Launcher, served: list[Served], calls: list[Caller]
) -> None:
    """`grpc_status=12` takes UNIMPLEMENTED for a sign of life; another name is another service's health."""
    served += Served(b"plain", healthy=False), Served(b"known")
    plain, known = served
    ports = {"first": plain.port, "second": known.port}
    front = proxy(
        CONF.format(workers=1, scheme="grpc", more="grpc_service=other grpc_status=12"),
        ports=ports,
    )
    calls.append(Caller(front))
    front.logged(f':{known.port} in upstream "app" is unhealthy: the status of gRPC is "5"', name="error.log")
    assert calls[0].who() == {b"plain"}


def test_over_tls(proxy: Launcher, served: list[Served], calls: list[Caller], authority: Authority) -> None:
    pair = authority.issue("app")
    both = (Path(pair.key).read_bytes(), Path(pair.certificate).read_bytes())
    credentials = grpc.ssl_server_credentials([both])
    served += Served(b"secret", credentials=credentials), Served(b"open")
    secret, plain = served
    front = proxy(
        CONF.format(workers=1, scheme="grpcs", more=""),
        ports={"first": secret.port, "second": plain.port},
    )
    calls.append(Caller(front))
    front.logged(f':{plain.port} in upstream "app" is unhealthy', name="error.log")
    assert calls[0].who() == {b"secret"}
