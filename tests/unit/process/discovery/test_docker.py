"""Containers as servers."""

import pytest

from harness.sources import container
from penstock.process.discovery.docker import server_of

ONE = {"server": "127.0.0.1:1"}


@pytest.mark.parametrize(
    ("found", "port", "network", "server"),
    [
        (container(8000), "", "", {"server": "127.0.0.1:8000"}),
        (container(8000), "9000", "", {"server": "127.0.0.1:9000"}),
        (container(8000, Labels={"penstock.port": "7000"}), "", "", {"server": "127.0.0.1:7000"}),
        (container(8000), "", "bridge", {"server": "127.0.0.1:8000"}),
        (container(8000), "", "other", None),
        (container(8000, status="Up 2 minutes (unhealthy)"), "", "", {"server": "127.0.0.1:8000", "drain": True}),
        (container(8000, status="Up 2 seconds (health: starting)"), "", "", None),
        (container(8000, Ports=[]), "", "", None),
        (container(8000, Ports=[{"PrivatePort": 1}, {"PrivatePort": 2}]), "", "", None),
        (container(8000, Ports=[{"PrivatePort": 1}, {"PrivatePort": 2, "Type": "udp"}]), "", "", ONE),
        (container(8000, NetworkSettings={"Networks": {"host": {"IPAddress": ""}}}), "", "", None),
        (container(8000, NetworkSettings=None), "", "", None),
        (
            container(8000, NetworkSettings={"Networks": {"six": {"GlobalIPv6Address": "fd00::2"}}}),
            "",
            "",
            {"server": "[fd00::2]:8000"},
        ),
    ],
)
def test_where_a_container_is(
    found: dict[str, object], port: str, network: str, server: dict[str, object] | None
) -> None:
    assert server_of(found, port, network) == server
