"""The demo as a person uses it: `demo/run.py`, and two tabs of a real browser that talk through the proxy."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.binary import penstock
from harness.ports import free_port
from harness.waiting import eventually

pytestmark = pytest.mark.timeout(120)

DEMO = Path(__file__).resolve().parents[2] / "demo"
# The backend's name, once the tunnel is open and the backend has said it.
OPEN = "document.querySelector('[data-state=open]') && document.querySelector('#route-backend[data-backend]')"
OPEN += "?.dataset.backend"
WORDS = "[...document.querySelectorAll('.message .words')].map(item => item.innerText)"


class Running:
    """`demo/run.py` on ports of its own."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        text = (DEMO / "nginx.conf").read_text()
        for known in ("9101", "9102"):
            text = text.replace(known, str(free_port()))
        (directory / "nginx.conf").write_text(text)
        self.output = directory / "output"
        command = [sys.executable, str(DEMO / "run.py"), "--conf", str(directory / "nginx.conf")]
        command += ["--port", str(self.port), "--binary", " ".join(penstock().command)]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        eventually(self._ready, 30, why="the demo prints its address")
        self.url = f"http://127.0.0.1:{self.port}/"

    def said(self) -> str:
        return self.output.read_text("utf-8", "replace")

    def backend_process(self, name: str) -> int:
        """The process id of a backend, as the demo printed it."""
        found = re.search(rf"Backend {name}: .* process (\d+)", self.said())
        assert found is not None
        return int(found[1])

    def stop(self, number: signal.Signals) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def _ready(self) -> bool:
        assert self.process.poll() is None, f"the demo ended:\n{self.said()}"
        return "Ctrl-C" in self.said()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    code = running.stop(signal.SIGTERM)
    assert code == 0, running.said()
    assert "Traceback" not in running.said()


def test_two_tabs_talk_across_backends(demo: Running, browser: Any) -> None:
    first, second = browser.open(demo.url), browser.open(demo.url)
    assert first.title() == "Penstock demo"
    reached = {first.wait_until(OPEN), second.wait_until(OPEN)}
    assert reached == {"north", "south"}, "least_conn gives each tab a backend of its own"

    first.type("#text", "from the first\n")
    second.wait_until(f"{WORDS}.includes('from the first')")
    second.type("#text", "from the <b>second</b> & more\n")
    first.wait_until(f"{WORDS}.includes('from the <b>second</b> & more')")
    assert first.script("return document.querySelectorAll('.words *').length") == 0, "markup stays text"
    # A third tab reads what was said before it came.
    browser.open(demo.url).wait_until(f"{WORDS}.length === 2")
    assert browser.console() == []


def test_http_api_shares_the_port(demo: Running, browser: Any) -> None:
    page = browser.open(demo.url)
    page.wait_until(OPEN)
    page.click("#ask")
    page.wait_until("document.querySelector('#ask-answer').innerText.startsWith('Answered by')")
    connection = http.client.HTTPConnection("127.0.0.1", demo.port, timeout=20)
    connection.request("GET", "/api/status")
    status = json.loads(connection.getresponse().read())
    connection.close()
    assert set(status) == {"backend", "clients"}


def test_close_codes_arrive_and_the_tab_comes_back(demo: Running, browser: Any) -> None:
    page = browser.open(demo.url)
    page.wait_until(OPEN)
    page.click("#restart")
    page.wait_until("document.querySelector('#close-code').innerText === '1012 (service restart)'")
    page.wait_until(OPEN)
    page.click("#leave")
    page.wait_until("document.querySelector('#state').dataset.state === 'closed'")
    assert page.text("#close-code") == "1000 (normal end)"
    page.click("#retry")
    page.wait_until(OPEN)


def test_a_killed_backend_costs_its_tab_one_reconnect(demo: Running, browser: Any) -> None:
    page = browser.open(demo.url)
    victim = page.wait_until(OPEN)
    os.kill(demo.backend_process(victim), signal.SIGKILL)
    page.wait_until("document.querySelector('#close-code').innerText.startsWith('1014')")
    survivor = page.wait_until(OPEN, timeout=20)
    assert survivor != victim
    eventually(lambda: f"backend {victim} ended; it comes back" in demo.said())


def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    running = Running(tmp_path)
    backends = [running.backend_process(name) for name in ("north", "south")]
    assert running.stop(signal.SIGINT) == 0, running.said()
    for process in backends:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", running.port).connect()


def test_what_it_says_first(demo: Running) -> None:
    said = demo.said()
    assert "GET " not in said, "its own looking around is nobody's business"
    for command in ("penstock tunnels", "penstock check", "penstock explain"):
        assert command in said
    assert re.search(r"(?m)^\s*listen 127\.0\.0\.1:8080;$", (DEMO / "nginx.conf").read_text())
    connection = http.client.HTTPConnection("127.0.0.1", demo.port, timeout=20)
    connection.request("GET", "/api/status")
    assert connection.getresponse().status == 200
    connection.close()
    eventually(lambda: '"GET /api/status HTTP/1.1" 200' in demo.said())
