"""The site that `make site` builds, for people who see little, have it read aloud, or hold a telephone."""

import os
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from harness.browser import Browser, Page, missing
from harness.page_faults import faults_everywhere

BUILT = Path(__file__).resolve().parents[2] / "build" / "site"
PAGES = sorted(path.relative_to(BUILT).as_posix() for path in BUILT.rglob("*.html"))
pytestmark = [
    pytest.mark.skipif(not os.environ.get("PENSTOCK_SITE"), reason="needs the site: make test-site"),
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def tab() -> Iterator[tuple[Page, str]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(BUILT)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    base = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        with Browser() as browser:
            yield browser.open(f"{base}/index.html"), base
    finally:
        server.shutdown()
        server.server_close()


def test_it_is_built() -> None:
    assert len(PAGES) > 40, "make site"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_site(tab: tuple[Page, str], name: str) -> None:
    page, base = tab
    page.goto(f"{base}/{name}")
    page.wait_until("document.readyState === 'complete'")
    found = faults_everywhere(page)
    assert not found, "\n".join(found)
