"""`flv`: a video from its beginning, or from further on with a header of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.site import Site
from penstock.http.request import FilePart
from penstock.modules.content.flv import HEADER


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "a.flv").write_bytes(b"0123456789")
    (tmp_path / "dir").mkdir()
    return Site("server { listen 80; location / { flv; } }", tmp_path)


@pytest.mark.parametrize(
    ("query", "whole", "offset", "count"),
    [("", True, 0, 10), ("?start=0", True, 0, 10), ("?start=10", True, 0, 10), ("?start=x", True, 0, 10),
     ("?start=-1", True, 0, 10), ("?start=4", False, 4, 6), ("?a=b&start=9", False, 9, 1)],
)  # fmt: skip
def test_from_where(site: Site, query: str, whole: bool, offset: int, count: int) -> None:
    answer = site.ask(f"/a.flv{query}").answer
    body = answer.body
    if not whole:
        assert isinstance(body, list) and body[0] == HEADER and len(HEADER) == 13
        body = body[1]
    assert isinstance(body, FilePart)
    assert (body.offset, body.count, answer.length) == (offset, count, count if whole else count + 13)


def test_a_range_of_what_is_cut(site: Site) -> None:
    answer = site.ask("/a.flv?start=4", headers=["Range: bytes=0-14"]).answer
    assert (answer.status, answer.length) == (206, 15)


@pytest.mark.parametrize(("method", "path", "status"), [
    ("POST", "/a.flv", 405), ("GET", "/none.flv", 404), ("GET", "/dir", 301), ("GET", "/dir/", 403),
])  # fmt: skip
def test_what_is_no_video(site: Site, method: str, path: str, status: int) -> None:
    assert site.ask(path, method=method).status == status
