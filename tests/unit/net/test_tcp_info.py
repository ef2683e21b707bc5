"""TCP_INFO of real sockets."""

import socket

import pytest

from penstock.net.tcp_info import OFFSETS, tcp_info


@pytest.mark.parametrize("name", OFFSETS)
def test_of_a_connection(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        value = tcp_info(client, name)
        assert value is not None
        assert 0 < value < 1 << 30


def test_of_what_is_not_tcp_or_closed() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert tcp_info(one, "rtt") is None
    assert tcp_info(one, "rtt") is None
