"""Whose an address is, as /proc tells."""

import os
import socket
from pathlib import Path

import pytest

from penstock.process.startup.port_owner import holder

TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0 10 0
"""


@pytest.mark.parametrize(
    ("family", "bound", "asked"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET, "127.0.0.1", "0.0.0.0"),
        (socket.AF_INET, "0.0.0.0", "127.0.0.2"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET6, "::", "127.0.0.1"),
    ],
)
def test_this_process(family, bound, asked) -> None:
    with socket.socket(family) as sock:
        sock.bind((bound, 0))
        port = sock.getsockname()[1]
        assert holder((asked, port)) == ""
        sock.listen()
        assert f"process {os.getpid()} (" in holder((asked, port))


def test_another_address_of_the_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        assert holder(("127.0.0.2", sock.getsockname()[1])) == ""


def test_unix_socket(tmp_path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        assert f"process {os.getpid()} (" in holder(str(tmp_path / "s"))


def test_what_may_not_be_seen_has_a_user(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(TABLE)
    assert holder(("127.0.0.1", 8080), tmp_path) == "a process of user root"
    assert holder(("127.0.0.1", 8081), tmp_path) == ""
    assert holder("/none", tmp_path) == ""
