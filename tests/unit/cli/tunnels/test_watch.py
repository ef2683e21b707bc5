"""The screen of `penstock tunnels --watch`: whatever its size, no id, port or number on it is cut."""

import io
import os
import pty
import re
import termios
from typing import Any

import pytest
from rich.console import Console

from penstock.cli.tunnels.keys import Keyboard
from penstock.cli.tunnels.table import summary
from penstock.cli.tunnels.watch import TunnelScreen


def entry(number: int, client: str = "192.0.2.17:51234", peer: str = "127.0.0.1:33001") -> dict[str, Any]:
    return {
        "id": f"66904-{number}.11", "client": client, "server": "chat.example.com", "location": "/chat/rooms/",
        "peer": peer, "age": 11_100.0 + number, "idle": 0.3 * number, "messages_in": 412, "messages_out": 1900,
        "bytes_in": 31_700, "bytes_out": 410_000, "state": "open",
    }  # fmt: skip


def screen(entries: list[dict[str, Any]], width: int, height: int = 24, matched: int | None = None) -> list[str]:
    seen = TunnelScreen()
    told = {"workers": [1], "open": len(entries), "matched": len(entries) if matched is None else matched}
    for now in (1.0, 2.0):
        seen.update({**told, "tunnels": entries}, now)
    out = io.StringIO()
    Console(file=out, width=width, height=height).print(seen.screen(height, width))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 110, 132, 160, 200])
@pytest.mark.parametrize("client", ["192.0.2.17:51234", "[2001:db8:85a3:8d3:1319:8a2e:370:7348]:51234"])
def test_nothing_is_cut(width: int, client: str) -> None:
    entries = [entry(number, client, f"127.0.0.1:3300{number}") for number in range(4)]
    lines = screen(entries, width)
    assert max(len(line) for line in lines) <= width
    text = "\n".join(lines)
    assert "…" not in text
    for each in entries:
        (line,) = (line for line in lines if each["id"] in line)
        words = line.split()
        whole = {"66904", each["client"], each["peer"], "chat.example.com", "/chat/rooms/", "open"}
        whole |= {each["id"], "412", "1.9K", "31.7K", "410K", "3h05m", f"{each['idle']:.1f}s"}
        assert {re.sub("[▁-█]+", "", word) for word in words} - {""} <= whole


def test_the_usual_terminal_shows_who_and_where() -> None:
    lines = screen([entry(1)], 80)
    (head,) = (line for line in lines if line.lstrip().startswith("ID"))
    for name in ("ID", "CLIENT", "PEER", "AGE", "IDLE", "STATE"):
        assert name in head.split(), head
    assert "SERVER" not in head
    wide = next(line for line in screen([entry(1)], 200) if line.lstrip().startswith("ID"))
    for name in ("SERVER", "LOCATION", "TRAFFIC"):
        assert name in wide


@pytest.mark.parametrize(
    ("count", "matched", "below"), [(5, 5, 0), (14, 14, 0), (15, 15, 2), (40, 40, 27), (10, 3000, 2990)]
)
def test_what_is_below_the_edge_is_counted(count: int, matched: int, below: int) -> None:
    lines = screen([entry(number) for number in range(count)], 100, 24, matched)
    assert len(lines) <= 24
    shown = sum("66904-" in line for line in lines)
    said = [line for line in lines if "below the edge" in line]
    assert (shown + below, len(said)) == (matched, int(below > 0))
    if below:
        assert said[0].startswith(f"{below} more")


def test_plain_english() -> None:
    assert summary({"workers": [1, 2], "open": 9, "matched": 2, "tunnels": [0, 0]}) == "9 open in 2 workers, 2 matched"


def test_keys_sort_filter_and_quit() -> None:
    seen = TunnelScreen()
    question = {"do": "tunnels", "select": {"peer": "10.0.0.1"}, "limit": 10}
    assert seen.asking(question)["sort"] == "idle"
    assert seen.press("s") and seen.asking(question)["sort"] == "age"
    assert not seen.press("x")
    for key in "/chst\x7f\x7fat":
        assert not seen.press(key)
    assert not seen.ended, "while a filter is typed, letters are letters"
    assert seen.asking(question)["select"] == {"peer": "10.0.0.1"}, "it is not finished"
    assert seen.press("\n")
    assert seen.asking(question)["select"] == {"peer": "10.0.0.1", "text": "chat"}
    assert not seen.press("/") and not seen.press("q") and not seen.press("\x1b")
    assert (seen.filter, seen.ended) == ("chat", False)
    assert seen.press("\x1b") and seen.filter == ""
    assert not seen.press("q") and seen.ended


def test_a_terminal_gives_its_keys_and_is_as_before() -> None:
    master, slave = pty.openpty()
    try:
        before = termios.tcgetattr(slave)
        with Keyboard(slave) as keyboard:
            assert keyboard.wait(0.0) == ""
            for sent, key in ((b"s", "s"), (b"\r", "\n"), (b"\x7f", "\x7f"), (b"\x1b", "\x1b")):
                os.write(master, sent)
                assert keyboard.wait(5.0) == key
            os.write(master, b"\x1b[A")
            assert keyboard.wait(0.2) == "", "an arrow is no key of ours"
        assert termios.tcgetattr(slave) == before
    finally:
        os.close(master)
        os.close(slave)
    with Keyboard(-1) as none:
        assert none.wait(0.01) == ""
