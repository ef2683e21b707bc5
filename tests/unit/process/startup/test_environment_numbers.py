"""Numbers in the environment, whoever wrote them."""

import os
import socket

import pytest

from penstock.observe import errorlog
from penstock.process.master.link import MasterLink
from penstock.process.master.notify import Notifier
from penstock.process.startup.activation import passed_descriptors
from penstock.process.startup.environment_numbers import whole
from penstock.process.startup.inherited import inherit

STRANGE = ["9" * 5000, "99999999999", "2147483648", "-1", "1e3", "\u0663", "0x7", " 7", "7 ", "1_0", "+7", "\n"]


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("7", 7), ("007", 7), ("0" * 5000 + "7", 7), ("2147483647", 2147483647), ("", None)]
    + [(text, None) for text in STRANGE],
)
def test_a_number_is_digits_and_not_too_large(text: str, number: int | None) -> None:
    assert whole(text, 2**31 - 1) == number


@pytest.mark.parametrize("text", [f"{text};" for text in STRANGE] + ["x", "9" * 5000, ";", ";;;", ":", "\udcff;"])
def test_strange_inherited_sockets_are_named_and_left(monkeypatch, text: str) -> None:
    told: list[str] = []
    monkeypatch.setattr(errorlog, "report", lambda *given: told.append(given[2]))
    monkeypatch.setattr("penstock.process.startup.inherited.report", lambda *given: told.append(given[2]))
    monkeypatch.setenv("NGINX", text)
    found = inherit()
    assert (found.predecessor, found.sockets.by_address) == (0, {})
    assert any("invalid socket number" in line for line in told)
    assert all(len(line) < 400 for line in told)
    assert "NGINX" not in os.environ


def test_a_socket_that_is_named_twice_is_one(monkeypatch) -> None:
    monkeypatch.setattr("penstock.process.startup.inherited.report", lambda *given: None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        fd = os.dup(server.fileno())
        monkeypatch.setenv("NGINX", f"{fd};{fd};0{fd}:")
        found = inherit()
        assert found.sockets.descriptors() == [fd]
        found.sockets.close()


@pytest.mark.parametrize("text", STRANGE)
def test_other_variables_are_read_as_strictly(monkeypatch, text: str) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", text)
    assert list(passed_descriptors()) == []
    assert MasterLink.inherited(text) is None
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    monkeypatch.setenv("WATCHDOG_USEC", "9" * 5000)
    assert Notifier().beat == 0
