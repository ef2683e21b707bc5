"""What several workers say of their tunnels, put together."""

import os
import socket
from errno import EACCES, EAGAIN, ECONNREFUSED, ENOENT
from pathlib import Path
from time import monotonic

import pytest

from penstock.net.errors import DialFailed
from penstock.net.loop import new_loop
from penstock.observe import ask_workers as siblings
from penstock.observe.ask_workers import ask_siblings, oldest_first


def test_the_order_does_not_depend_on_who_was_asked_first() -> None:
    began = monotonic() - 100

    def answers(late: float, *, turned: bool) -> list[dict]:
        """Two workers; the second is asked `late` seconds after the first, and so its tunnels seem older."""
        first = {
            "pid": 1,
            "tunnels": [
                {"id": "1-1", "age": 100.000, "opened": began},
                {"id": "1-2", "age": 99.998, "opened": began + 0.002},
                {"id": "1-3", "age": 99.998, "opened": began + 0.002},
            ],
        }
        second = {
            "pid": 2,
            "tunnels": [
                {"id": "2-1", "age": 99.999 + late, "opened": began + 0.001},
                {"id": "2-2", "age": 99.998 + late, "opened": began + 0.002},
            ],
        }
        return [second, first] if turned else [first, second]

    for late in (0.0, 0.5):
        for turned in (False, True):
            found = oldest_first(answers(late, turned=turned))
            assert [entry["id"] for entry in found] == ["1-1", "2-1", "1-2", "1-3", "2-2"]
            assert all(99 < entry["age"] < 160 and "opened" not in entry for entry in found)


def test_a_worker_of_an_older_version_says_no_more_than_the_age() -> None:
    old = {"pid": 1, "tunnels": [{"id": "1-1", "age": 7.0}, {"id": "1-2", "age": 1.0}]}
    new = {"pid": 2, "tunnels": [{"id": "2-1", "age": 3.0, "opened": monotonic() - 3.0}]}
    assert [entry["id"] for entry in oldest_first([old, new])] == ["1-1", "2-1", "1-2"]


@pytest.mark.parametrize(
    ("error", "silent"),
    [(ECONNREFUSED, 0), (ENOENT, 0), (EAGAIN, 1), (EACCES, 1)],
)
def test_who_is_gone_is_not_silent_whatever_language_errors_are_told_in(tmp_path, monkeypatch, error, silent) -> None:
    async def dial(path: str, timeout: float) -> None:
        raise DialFailed(error)

    monkeypatch.setattr(os, "strerror", lambda number: "Verbindungsaufbau abgelehnt")
    monkeypatch.setattr(siblings, "connect", dial)
    (tmp_path / "1").touch()
    loop = new_loop()
    assert loop.run(ask_siblings(str(tmp_path), {})) == ([], silent)
    loop.close()


def test_a_socket_that_was_left_behind_is_nobody(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "1"))
    loop = new_loop()
    assert loop.run(ask_siblings(str(tmp_path), {})) == ([], 0)
    loop.close()
