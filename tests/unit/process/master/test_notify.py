"""The words for a service manager, and where they go."""

import os
import socket

import pytest

from penstock.process.master.notify import Notifier, for_successor


def listener(address: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(address)
    sock.settimeout(5)
    return sock


def test_without_a_manager_nothing_is_said(monkeypatch) -> None:
    for path in ("", "relative"):
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        notifier = Notifier()
        assert not notifier.wanted and not notifier.beat
        notifier.ready()


def test_an_abstract_address(monkeypatch) -> None:
    name = f"penstock-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with listener(f"\0{name}") as sock:
        notifier = Notifier()
        notifier.ready()
        assert sock.recv(100) == f"READY=1\nMAINPID={os.getpid()}".encode()
        notifier.status("3 tunnels")
        notifier.status("3 tunnels")
        notifier.stopping()
        assert (sock.recv(100), sock.recv(100)) == (b"STATUS=3 tunnels", b"STOPPING=1")


def test_a_manager_that_is_gone_is_no_reason_to_fail(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notifier = Notifier()
    notifier.ready()
    notifier.stopping()


@pytest.mark.parametrize(
    ("usec", "pid", "beat"),
    [("2000000", "", 1.0), ("2000000", "self", 1.0), ("2000000", "1", 0.0), ("soon", "", 0.0), ("", "", 0.0)],
)
def test_how_often_signs_of_life_are_wanted(monkeypatch, usec, pid, beat) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "self" else pid)
    assert Notifier().beat == beat
    assert for_successor(7) == {"WATCHDOG_PID": "7"}
