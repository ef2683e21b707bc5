"""Which tunnels somebody means."""

import pytest

from penstock.observe.selection import TunnelSelection

ENTRY = {
    "id": "7-3.12",
    "client": "10.1.2.3",
    "server": "chat.example",
    "location": "/ws",
    "peer": "10.0.0.3:8000",
    "state": "open",
    "age": 100.0,
    "idle": 5.0,
}


@pytest.mark.parametrize(
    ("plain", "meant"),
    [
        ({}, True),
        ({"id": "7-3.12"}, True),
        ({"id": "7-3"}, False),
        ({"peer": "10.0.0.3"}, True),
        ({"peer": "10.0.0.3:8000"}, True),
        ({"peer": "10.0.0.3:80"}, False),
        ({"peer": "10.0.0"}, False),
        ({"client": "10.1.2.3"}, True),
        ({"client": "10.1.0.0/16", "server": "chat.example", "location": "/ws"}, True),
        ({"client": "10.2.0.0/16"}, False),
        ({"client": "::/0"}, False),
        ({"older": 99, "idle": 5}, True),
        ({"older": 101}, False),
        ({"idle": 5.1}, False),
        ({"state": "closing"}, False),
    ],
)
def test_everything_given_must_hold(plain, meant) -> None:
    assert TunnelSelection.read(plain).admits(ENTRY) is meant
    assert TunnelSelection.read(TunnelSelection.read(plain).plain()) == TunnelSelection.read(plain)


def test_clients_of_unix_sockets() -> None:
    assert TunnelSelection.read({"client": "unix:"}).admits({**ENTRY, "client": "unix:"})
    assert not TunnelSelection.read({"client": "10.0.0.0/8"}).admits({**ENTRY, "client": "unix:"})


@pytest.mark.parametrize("plain", [None, [], {"colour": "red"}, {"idle": "5"}, {"id": 5}, {"client": "nowhere"}])
def test_what_is_no_selection(plain) -> None:
    with pytest.raises(ValueError):
        TunnelSelection.read(plain)
