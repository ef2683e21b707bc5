"""Log files named by requests."""

import pytest

from penstock.config.variables import VariableTable
from penstock.observe.errorlog import ErrorLog, set_fallback
from penstock.observe.paths_by_request import CacheLimits, DescriptorCache, NamedByRequest


@pytest.fixture
def said():
    lines: list[str] = []
    sink = type("Sink", (), {"level": 8, "write": lambda self, line, level: lines.append(line.decode("latin-1"))})()
    set_fallback(ErrorLog([sink]))
    return lines


def named(path: str, *, exists: bool = True, cache: DescriptorCache | None = None) -> NamedByRequest:
    return NamedByRequest(VariableTable().template(path).evaluate, lambda request: exists, lambda request: cache)


def test_opened_for_each_line(tmp_path) -> None:
    target = named(f"{tmp_path}/a")
    target.bind(None).line(b"1\n")
    (tmp_path / "a").rename(tmp_path / "moved")
    target.bind(None).line(b"2\n")
    assert (tmp_path / "a").read_text() == "2\n"


def test_nothing_is_made_where_no_document_root_is(tmp_path) -> None:
    assert named(f"{tmp_path}/a", exists=False).bind(None) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cache", [None, DescriptorCache(CacheLimits(1))])
def test_failure_is_said(tmp_path, said, cache) -> None:
    named(f"{tmp_path}/no/a", cache=cache).bind(None).line(b"x\n")
    assert "[crit]" in said[0]
    assert f'open() "{tmp_path}/no/a" failed (2: No such file or directory)' in said[0]
    named(f"{tmp_path}/a\0b", cache=cache).bind(None).line(b"x\n")
    assert "embedded null" in said[1]


def test_cache_keeps_what_is_used_often(tmp_path) -> None:
    cache = DescriptorCache(CacheLimits(most=2, min_uses=2))
    for name in ("often", "often", "once"):
        cache.append(f"{tmp_path}/{name}", b"1\n")
    for name in ("often", "once"):
        (tmp_path / name).rename(tmp_path / f"{name}.moved")
        cache.append(f"{tmp_path}/{name}", b"2\n")
    assert (tmp_path / "often.moved").read_text() == "1\n1\n2\n"
    assert (tmp_path / "once").read_text() == "2\n"
    cache.close()


def test_cache_forgets_the_oldest(tmp_path) -> None:
    cache = DescriptorCache(CacheLimits(most=2))
    for name in "abca":
        cache.append(f"{tmp_path}/{name}", b"x\n")
        if name == "c":
            (tmp_path / "a").rename(tmp_path / "moved")
    assert (tmp_path / "a").exists()
    cache.close()


def test_failure_takes_no_place_in_the_cache(tmp_path) -> None:
    cache = DescriptorCache(CacheLimits(most=1))
    cache.append(f"{tmp_path}/a", b"x\n")
    with pytest.raises(OSError):
        cache.append(f"{tmp_path}/no/b", b"x\n")
    (tmp_path / "a").rename(tmp_path / "moved")
    cache.append(f"{tmp_path}/a", b"y\n")
    assert (tmp_path / "moved").read_text() == "x\ny\n"
    cache.close()


def test_name_is_seen_to_after_a_while(tmp_path) -> None:
    cache = DescriptorCache(CacheLimits(most=1, valid=0))
    cache.append(f"{tmp_path}/a", b"1\n")
    cache.append(f"{tmp_path}/a", b"2\n")
    (tmp_path / "a").rename(tmp_path / "moved")
    cache.append(f"{tmp_path}/a", b"3\n")
    assert (tmp_path / "moved").read_text() == "1\n2\n"
    assert (tmp_path / "a").read_text() == "3\n"
    cache.close()


def test_unused_is_closed(tmp_path, monkeypatch) -> None:
    from penstock.observe import paths_by_request as module

    now = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    cache = DescriptorCache(CacheLimits(most=9, inactive=10))
    cache.append(f"{tmp_path}/a", b"1\n")
    now[0] = 11.0
    cache.append(f"{tmp_path}/b", b"1\n")
    assert len(cache._kept) == 1
    cache.close()
