"""Positions count from one and in bytes; people see UTF-8 and never a control character."""

from pathlib import Path

import pytest

from penstock.config.source import Source, Span, read_source, shown


@pytest.mark.parametrize(
    ("offset", "position"),
    [(0, (1, 1)), (1, (1, 2)), (2, (1, 3)), (3, (2, 1)), (4, (3, 1)), (6, (3, 3))],
)
def test_position(offset: int, position: tuple[int, int]) -> None:
    assert Source("a.conf", "ab\n\ncd").position(offset) == position


@pytest.mark.parametrize(("number", "line"), [(0, ""), (1, "ab"), (2, "cd"), (3, ""), (4, ""), (-1, "")])
def test_line_has_no_end(number: int, line: str) -> None:
    assert Source("a.conf", "ab\r\ncd\n").line(number) == line


def test_span_speaks_of_its_start() -> None:
    span = Span(Source("a.conf", "ab\ncd ef"), 6, 8)
    assert (span.file, span.line, span.column, span.text) == ("a.conf", 2, 4, "ef")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain text", "plain text"),
        ("caf\xc3\xa9", "café"),
        ("caf\xe9", "caf\\xe9"),
        ("a\tb\x00\x1b[0m", "a\\tb\\x00\\x1b[0m"),
        ("80\xc2\xa0ssl", "80\\xa0ssl"),
        ("\xef\xbb\xbfuser", "\\ufeffuser"),
        ("\xe2\x80\xaeevil", "\\u202eevil"),
    ],
)
def test_shown(text: str, seen: str) -> None:
    assert shown(text) == seen


def test_read_source_keeps_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "é.conf"
    path.write_bytes(bytes(range(256)))
    name = str(path).encode().decode("latin-1")
    assert read_source(name).text.encode("latin-1") == bytes(range(256))


def test_read_source_raises_what_open_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_source(str(tmp_path / "none"))
    with pytest.raises(OSError, match="too large"):
        read_source("/dev/zero")
