"""Which addresses get a socket, and what becomes of sockets over a reload."""

import socket
from types import SimpleNamespace

import pytest

from penstock.modules.core.server_blocks import ListenOptions
from penstock.observe import errorlog
from penstock.plan.location import Listen
from penstock.process.startup import listening
from penstock.process.startup.launch import NotStarted
from penstock.process.startup.listening import bind_all, needed, probe_all


@pytest.fixture(autouse=True)
def said(monkeypatch):
    """What is logged; and no pauses."""
    lines: list[str] = []
    before = errorlog.fallback()
    errorlog.set_fallback(SimpleNamespace(level=8, write=lambda level, text, number=0: lines.append(text)))
    monkeypatch.setattr(listening, "PAUSE", 0.0)
    yield lines
    errorlog.set_fallback(before)


def listen(address, **options) -> Listen:
    return Listen(address, ListenOptions(**options), None)


@pytest.fixture
def free() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_socket_on_all_addresses_covers_the_others_of_its_port() -> None:
    wild, covered = listen(("0.0.0.0", 80)), listen(("127.0.0.1", 80))
    other_port, v6, unix = listen(("127.0.0.1", 81)), listen(("::1", 80)), listen("/run/x")
    own = listen(("127.0.0.2", 80), given=True)
    assert needed([covered, other_port, v6, unix, own, wild]) == [other_port, v6, unix, own, wild]


def test_reload_keeps_opens_and_closes(free, tmp_path, said) -> None:
    path = f"{tmp_path}/socket"
    first = bind_all([listen(("127.0.0.1", free)), listen(path)], 1)
    kept = first.by_address[("127.0.0.1", free)]
    second = bind_all([listen(("127.0.0.1", free)), listen(("127.0.0.2", free))], 1, first)
    first.drop_unless(second)
    assert second.by_address[("127.0.0.1", free)] == kept
    assert kept[0].fileno() >= 0
    assert first.by_address[path][0].fileno() == -1
    assert list(tmp_path.iterdir()) == []
    assert said == [f"deleting socket {path}"]
    second.close()


def test_failure_closes_what_is_new_and_nothing_else(free, said) -> None:
    first = bind_all([listen(("127.0.0.1", free))], 1)
    with pytest.raises(NotStarted):
        bind_all([listen(("127.0.0.1", free)), listen(("127.0.0.2", free)), listen(("192.0.2.1", free))], 1, first)
    assert first.by_address[("127.0.0.1", free)][0].fileno() >= 0
    with socket.socket() as sock:
        sock.bind(("127.0.0.2", free))
    assert said[-2].startswith(f"bind() to 192.0.2.1:{free} failed (99: ")
    first.close()


def test_busy_port_is_tried_five_times(free, said) -> None:
    with socket.create_server(("127.0.0.1", free)), pytest.raises(NotStarted):
        bind_all([listen(("127.0.0.1", free))], 1)
    assert said.count(f"bind() to 127.0.0.1:{free} failed (98: Address already in use)") == 5
    assert said.count("try again to bind() after 500ms") == 5
    assert said[-1] == "still could not bind()"


def test_probe_takes_a_busy_port_for_our_own(free, said) -> None:
    with socket.create_server(("127.0.0.1", free)):
        probe_all([listen(("127.0.0.1", free))])
    assert said == []


def test_probe_leaves_no_unix_socket(tmp_path) -> None:
    probe_all([listen(f"{tmp_path}/socket")])
    assert list(tmp_path.iterdir()) == []


def test_reuseport_makes_one_for_each_worker(free) -> None:
    address = listen(("127.0.0.1", free), reuseport=True)
    sockets = bind_all([address], 2)
    assert sockets.for_worker(0)[address] is not sockets.for_worker(1)[address]
    more = bind_all([address], 3, sockets)
    assert len(more.by_address[address.address]) == 3
    fewer = bind_all([address], 1, more)
    more.drop_unless(fewer)
    assert [sock.fileno() >= 0 for sock in more.by_address[address.address]] == [True, False, False]
    fewer.close()


def test_change_to_reuseport_takes_the_socket_along(free) -> None:
    plain = bind_all([listen(("127.0.0.1", free))], 2)
    shared = bind_all([listen(("127.0.0.1", free), reuseport=True)], 2, plain)
    assert len(shared.by_address[("127.0.0.1", free)]) == 2
    shared.close()


def test_deferred_holds_for_a_socket_that_is_there(free) -> None:
    def deferred(sockets) -> bool:
        (sock,) = sockets.by_address[("127.0.0.1", free)]
        return bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT))

    plain = bind_all([listen(("127.0.0.1", free))], 1)
    waits = bind_all([listen(("127.0.0.1", free), deferred=True)], 1, plain)
    assert deferred(waits)
    again = bind_all([listen(("127.0.0.1", free))], 1, waits)
    assert not deferred(again)
    again.close()
