"""Bodies in memory and in files."""

from pathlib import Path
from typing import Any

import pytest

from penstock.upstream.exchange.spool import Spooled, spool
from penstock.upstream.exchange.temp_file import TempFile, TempFolder


class Pieces:
    """A body that comes in pieces."""

    def __init__(self, *pieces: bytes, length: int | None = None, error: Exception | None = None) -> None:
        self._left = list(pieces)
        self._error = error
        self.length = length
        self.received = 0

    @property
    def done(self) -> bool:
        return not self._left and self._error is None

    async def read(self) -> bytes:
        if not self._left:
            if self._error is not None:
                raise self._error
            return b""
        self.received += len(self._left[0])
        return self._left.pop(0)

    async def discard(self) -> None: ...


def run(coro: Any) -> Any:
    try:
        coro.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


def whole(body: Spooled) -> bytes:
    data = b""
    while piece := run(body.read()):
        data += piece
    return data


@pytest.mark.parametrize(
    ("pieces", "length", "limit", "in_file"),
    [
        ([b"abc"], 3, 10, False),
        ([b"ab", b"c"], 3, 10, False),
        ([b"ab", b"c"], None, 3, False),
        ([b"ab", b"c"], None, 2, True),
        ([b"ab", b"c"], 3, 2, True),
    ],
)
def test_spool(tmp_path: Path, pieces: list[bytes], length: int | None, limit: int, in_file: bool) -> None:
    folder = tmp_path / "not there any more"
    body = run(spool(Pieces(*pieces, length=length), limit, lambda: TempFile(TempFolder(str(folder)))))
    assert (whole(body), whole(body)) == (b"abc", b"abc"), "again and again"
    assert (body.length, body.received, body.done) == (3, 3, True)
    assert (body.file is not None) is in_file
    assert body.kept == (None if in_file else b"abc")
    assert not folder.exists() or not list(folder.iterdir()), "a file without a name leaves nothing behind"


def test_files_with_names(tmp_path: Path) -> None:
    def make() -> TempFile:
        return TempFile(TempFolder(str(tmp_path)), named=True)

    body = run(spool(Pieces(b"abc", length=3), 10, make, always=True))
    assert body.path is not None and Path(body.path).read_bytes() == b"abc"
    body.close()
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConnectionError):
        run(spool(Pieces(b"abc", error=ConnectionError()), 1, make))
    assert not list(tmp_path.iterdir())
