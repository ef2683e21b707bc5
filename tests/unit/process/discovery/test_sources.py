"""A file that is followed, and what becomes of its texts."""

from pathlib import Path
from typing import Any

import pytest

from penstock.modules.upstream.server_list import read_plain
from penstock.modules.upstream.servers_from import FILE, ServerSource
from penstock.process.discovery import finder
from penstock.process.discovery.finder import Following
from penstock.process.discovery.sources import FileLists, SourceFailed
from penstock.shared.server_lists import ServerLists


def source(path: Path, **more: Any) -> ServerSource:
    return ServerSource(f"file://{path}", FILE, "", 0, str(path), (), debounce=0.0, **more)


def test_a_file_is_given_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("one")
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 5:
            path.write_text("another")
        assert len(slept) < 100

    lists = FileLists(source(path), sleep)
    assert lists.wait() == "one"
    assert lists.wait() == "another"


def test_a_file_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "list"
    lists = FileLists(source(path), lambda seconds: path.write_text("here") and None)
    with pytest.raises(SourceFailed, match="can not be read"):
        FileLists(source(path), lambda seconds: None).wait()
    assert lists.wait() == "here"


class Told:
    """What a source says, one after the other: a text, or why there is none."""

    def __init__(self, *texts: str | Exception) -> None:
        self._texts = iter(texts)

    def wait(self) -> str:
        found = next(self._texts)
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(finder, "report", lambda connection, level, text: lines.append(text))
    return lines


def following(monkeypatch: pytest.MonkeyPatch, told: Told, **more: Any) -> tuple[Following, ServerLists]:
    monkeypatch.setattr(finder, "kind_of_lists", lambda source: lambda source: told)
    lists = ServerLists()
    return Following(source(Path("/list"), **more), lists), lists


def servers(lists: ServerLists) -> list[str]:
    with lists:
        found = lists.read().get("file:///list", {"servers": []})
    return [str(each.address) for each in read_plain(found["servers"])]


def test_a_good_list_stays_until_there_is_another(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    failed = SourceFailed("it is\nsilent")
    told = Told('["10.0.0.1:80"]', failed, failed, "[]", "[1]", '["10.0.0.1:80"]', '["10.0.0.2:80"]')
    followed, lists = following(monkeypatch, told)
    waits = [followed.step() for _ in range(5)]
    assert servers(lists) == ["10.0.0.1:80"]
    assert lists.version == 1
    assert waits[1] < waits[2] <= 2.5
    followed.step()
    followed.step()
    assert servers(lists) == ["10.0.0.2:80"]
    assert lists.version == 2
    assert said == [
        "servers from file:///list: 1",
        "servers from file:///list: it is?silent; the last good list stays",
        "servers from file:///list: the list is empty; with empty=allow that would count; the last good list stays",
        "servers from file:///list: a server is an address, or an object with \"server\"; the last good list stays",
        "servers from file:///list: they are told again",
        "servers from file:///list: 1 (+10.0.0.2:80 -10.0.0.1:80)",
    ]


def test_it_is_kept_on_disk_and_a_full_disk_is_no_harm(
    monkeypatch: pytest.MonkeyPatch, said: list[str], tmp_path: Path
) -> None:
    kept = tmp_path / "new" / "kept.json"
    followed, _ = following(monkeypatch, Told('["10.0.0.1:80"]'), kept=str(kept))
    followed.step()
    assert "10.0.0.1:80" in kept.read_text()
    assert list(kept.parent.iterdir()) == [kept]
    followed, lists = following(monkeypatch, Told('["10.0.0.1:80"]'), kept="/proc/nowhere/kept.json")
    followed.step()
    assert servers(lists) == ["10.0.0.1:80"]
    assert "a start has to wait for the source" in said[-1]


def test_an_empty_list_counts_where_that_is_wanted(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    followed, lists = following(monkeypatch, Told('["10.0.0.1:80"]', "[]"), may_be_empty=True)
    followed.step()
    followed.step()
    assert servers(lists) == []
    assert lists.version == 2
