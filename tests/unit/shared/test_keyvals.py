"""Pairs that all workers share: how keys are found, when they end, what a file keeps of them."""

import json
from pathlib import Path

import pytest

from penstock.shared.keyvals import Entries, KeyvalStore, as_latin1, as_unicode
from penstock.shared.versioned_text import TooMuch, VersionedText


def store(kind: str = "string", timeout: float = 0.0, state: str = "", size: int = 32768) -> KeyvalStore:
    return KeyvalStore(VersionedText("pairs", "what is in it", size), kind, timeout, state)


NOW = 1000.0


def put(into: KeyvalStore, **pairs: str) -> None:
    put_all(into, pairs)


def put_all(into: KeyvalStore, pairs: dict[str, str], now: float = NOW) -> None:
    def act(entries: Entries) -> None:
        entries.update({key: [value, into.end_of(None, now)] for key, value in pairs.items()})

    into.change(act, now)


def test_texts_are_found_as_they_are() -> None:
    one = store()
    assert one.find("a", NOW) is None
    put(one, a="1", b="")
    found = [one.find(text, NOW) for text in ("a", "b", "A", "aa", "")]
    assert found == ["1", "", None, None, None]
    put(one, a="2")
    assert (one.find("a", NOW), one.pairs(NOW)) == ("2", {"a": "2", "b": ""})


def test_another_worker_sees_it_at_once() -> None:
    one = store()
    other = KeyvalStore(one.memory, "string", 0.0, "")
    assert other.find("a", NOW) is None
    put(one, a="1")
    assert other.find("a", NOW) == "1"


def test_addresses() -> None:
    one = store("ip")
    put_all(one, {
        "10.0.0.0/8": "ten", "10.1.0.0/16": "one", "10.1.2.3": "host", "2001:db8::/32": "six", "::1": "own",
        "0.0.0.0/0": "any",
    })  # fmt: skip
    found = {text: one.find(text, NOW) for text in (
        "10.9.9.9", "10.1.9.9", "10.1.2.3", "10.1.2.0/24", "10.0.0.0/7", "192.0.2.1", "::ffff:10.1.2.3", "2001:db8::5",
        "2001:db9::5", "::1", "unix:", "all", "name", "",
    )}  # fmt: skip
    assert found == {
        "10.9.9.9": "ten", "10.1.9.9": "one", "10.1.2.3": "host", "10.1.2.0/24": "one", "10.0.0.0/7": "any",
        "192.0.2.1": "any", "::ffff:10.1.2.3": "host", "2001:db8::5": "six", "2001:db9::5": None, "::1": "own",
        "unix:": None, "all": None, "name": None, "": None,
    }  # fmt: skip
    assert [one.takes(key) for key in ("10.0.0.1", "::/0", "unix:", "all", "", "a")] == [True, True, *[False] * 4]


def test_beginnings() -> None:
    one = store("prefix")
    put_all(one, {"/": "root", "/app/": "app", "/app/x": "x"})
    assert [one.find(text, NOW) for text in ("/app/xyz", "/app/", "/apple", "/", "app", "")] == [
        "x", "app", "root", "root", None, None,
    ]  # fmt: skip


def test_pairs_end() -> None:
    one = store("ip", timeout=10.0)
    put_all(one, {"10.0.0.0/8": "ten"}, 1000.0)
    put_all(one, {"10.1.0.0/16": "one"}, 1005.0)
    one.change(lambda entries: entries.update({"10.1.2.3": ["host", one.end_of(2000, 1005.0)]}), 1005.0)
    assert one.find("10.1.2.3", 1005.0) == "host"
    assert one.find("10.1.2.3", 1007.0) == "one", "the network around it is there still"
    assert (one.find("10.1.2.3", 1010.0), one.find("10.2.2.3", 1010.0)) == ("one", None)
    assert one.pairs(1010.0) == {"10.1.0.0/16": "one"}
    put_all(one, {"::1": "own"}, 1010.0)
    assert "10.0.0.0/8" not in one.memory.read(), "it makes room for others"


def test_a_file_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "state" / "one.json"
    one = store(timeout=10.0, state=str(path))
    put_all(one, {as_latin1("schlüssel"): as_latin1("wért\n")})
    assert json.loads(path.read_text()) == {"schlüssel": {"value": "wért\n", "expire": 1010000}}
    again = store(timeout=10.0, state=str(path))
    again.fill(path.read_bytes())
    assert again.pairs(NOW) == one.pairs(NOW)
    assert again.pairs(1010.0) == {}
    forever = store(state=str(path))
    put(forever, a="1")
    assert json.loads(path.read_text()) == {"a": "1"}
    forever.fill(b'{"b": "2"}')
    assert forever.pairs(NOW) == {"a": "1"}, "what is in the memory is newer than a file"


@pytest.mark.parametrize(
    "text", [b"", b"[]", b'{"a": 1}', b'{"a": {"value": 1}}', b'{"a": {"value": "x", "expire": "y"}}', b"\xff"]
)
def test_a_file_that_holds_something_else(text: bytes) -> None:
    one = store()
    with pytest.raises(ValueError, match=r"\w"):
        one.fill(text)


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    one = store(state=str(path))
    put(one, a="1")
    with pytest.raises(TooMuch):
        put(one, b="x" * 40000)
    path.unlink()
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        put(one, c="2")
    with pytest.raises(KeyError):
        one.change(lambda entries: entries.pop("none") and None, NOW)
    assert one.pairs(NOW) == {"a": "1"}


def test_spelling() -> None:
    for text in ("", "a", "é", "☃", "\x00", "🌍"):
        assert as_unicode(as_latin1(text)) == text
