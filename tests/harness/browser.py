"""Headless Chromium, driven by chromedriver over the W3C WebDriver protocol (https://www.w3.org/TR/webdriver2/)."""

import base64
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from harness.ports import free_port
from harness.waiting import eventually

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,860",
)
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_ENTER = "\ue007"


def missing() -> str | None:
    """Why no browser can be started, or None."""
    for program in ("chromedriver", "chromium"):
        if _program(program) is None:
            return f"{program} is not installed (Debian: apt-get install chromium chromium-driver)"
    return None


class BrowserError(AssertionError):
    """What the browser answered instead of a result."""


class Browser:
    """One browser with an empty profile; each `open` is a tab. `flags` go to Chromium's command line. With `trusts`,
    the file of an authority (PEM), it loads pages with its certificates and no others; without, it loads all."""

    def __init__(self, *flags: str, trusts: Path | None = None) -> None:
        # Short, as a socket's path below it holds 107 bytes at most.
        self._profile = tempfile.mkdtemp(prefix="browser-")
        self._log = (Path(self._profile) / "driver.log").open("wb+")
        if trusts is not None:
            _trust(trusts, Path(self._profile))
        # With 0 it takes a port for IPv6 that may be somebody's connection over IPv4, and ends.
        self._driver = subprocess.Popen(
            [_program("chromedriver") or "chromedriver", f"--port={free_port()}"],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # What Chromium leaves in its temporary folder goes with the profile.
            env={**os.environ, "TMPDIR": self._profile, "HOME": self._profile, "XDG_DATA_HOME": ""},
        )
        self._session = ""
        try:
            self._port = eventually(self._listening, 20, why="chromedriver starts")
            options = {
                "binary": _program("chromium"),
                "args": [*_FLAGS, *flags, f"--user-data-dir={self._profile}/profile"],
            }
            wanted = {
                "browserName": "chrome",
                "acceptInsecureCerts": trusts is None,
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL"},
            }
            answer = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}}, timeout=60)
            self._session = f"/session/{answer['sessionId']}"
            self._spare: str | None = self.command("GET", "/window")
        except BaseException:
            self.close()
            raise

    def open(self, url: str) -> "Page":
        """A new tab that has loaded `url`."""
        handle = self._spare or self.command("POST", "/window/new", {"type": "tab"})["handle"]
        self._spare = None
        page = Page(self, handle)
        page.goto(url)
        return page

    def console(self) -> list[str]:
        """What pages wrote to the console since the last call, failed requests included."""
        entries = self.command("POST", "/se/log", {"type": "browser"})
        return [f"{entry['level']} {entry['message']}" for entry in entries]

    def command(self, method: str, path: str, body: object = None) -> Any:
        """A command of the session; `BrowserError` when the browser refuses."""
        return self.call(method, self._session + path, body)

    def call(self, method: str, path: str, body: object = None, timeout: float = 30) -> Any:
        """A WebDriver request and the `value` of its answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout)
        try:
            text = json.dumps({} if body is None else body) if method == "POST" else None
            connection.request(method, path, text, {"Content-Type": "application/json"})
            response = connection.getresponse()
            value = json.loads(response.read())["value"]
        finally:
            connection.close()
        if response.status != 200:
            raise BrowserError(f"{value['error']}: {value['message']}")
        return value

    def close(self) -> None:
        """End the browser and its driver, and remove the profile."""
        try:
            if self._session:
                self.call("DELETE", self._session)
        except (OSError, BrowserError):
            pass
        self._driver.terminate()
        try:
            self._driver.wait(10)
        except subprocess.TimeoutExpired:
            pass
        try:
            # A browser whose session could not be ended is still in the driver's group.
            os.killpg(self._driver.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._driver.wait()
        self._log.close()
        # Its helpers end a moment later than Chromium does, and may write until then.
        eventually(self._removed, 20, why="the browser's profile is gone")

    def _removed(self) -> bool:
        shutil.rmtree(self._profile, ignore_errors=True)
        return not Path(self._profile).exists()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _listening(self) -> int | None:
        if self._driver.poll() is not None:
            raise BrowserError(f"chromedriver ended: {_read(self._log)}")
        found = re.search(r"started successfully on port (\d+)", _read(self._log))
        return int(found[1]) if found else None


class Page:
    """A tab. Selectors are CSS; every command first brings its tab to the front of the driver's attention."""

    def __init__(self, browser: Browser, handle: str) -> None:
        self._browser = browser
        self._handle = handle

    def goto(self, url: str) -> None:
        """Load `url` and wait for its load event."""
        self._command("POST", "/url", {"url": url})

    def title(self) -> str:
        return str(self._command("GET", "/title"))

    def script(self, script: str, *arguments: object) -> Any:
        """The value a function body returns: `page.script("return arguments[0] + 1", 1)`."""
        return self._command("POST", "/execute/sync", {"script": script, "args": arguments})

    def wait_until(self, expression: str, timeout: float = 30.0) -> Any:
        """The first truthy value of a JavaScript expression. One that raises has none yet: a page may be built anew
        between two looks at it."""
        raised: BrowserError | None = None

        def value() -> Any:
            nonlocal raised
            try:
                found, raised = self.script(f"return ({expression})"), None
            except BrowserError as error:
                found, raised = None, error
            return found

        try:
            return eventually(value, timeout, every=0.05, why=expression)
        except AssertionError as late:
            shown = self.script("return document.body.innerText")
            why = f"{late}\nand raised: {raised}" if raised else f"{late}"
            raise AssertionError(f"{why}\nthe page shows:\n{shown}") from None

    def text(self, selector: str) -> str:
        """The visible text of the first element that matches."""
        return str(self._command("GET", f"/element/{self._find(selector)}/text"))

    def click(self, selector: str) -> None:
        self._command("POST", f"/element/{self._find(selector)}/click")

    def type(self, selector: str, text: str) -> None:
        """Type into an element; a newline is the Enter key."""
        keys = text.replace("\n", _ENTER)
        self._command("POST", f"/element/{self._find(selector)}/value", {"text": keys})

    def resize(self, width: int, height: int) -> None:
        """Make the viewport this large, in CSS pixels, whatever the window is."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, scheme: str) -> None:
        """Tell the page that its reader prefers `light` or `dark`."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.devtools("Emulation.setEmulatedMedia", {"features": [feature]})

    def screenshot(self, path: Path) -> Path:
        """Write a PNG of the viewport."""
        path.write_bytes(base64.b64decode(self._command("GET", "/screenshot")))
        return path

    def devtools(self, command: str, parameters: object) -> Any:
        """A command of the DevTools protocol."""
        return self._command("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _find(self, selector: str) -> str:
        deadline = time.monotonic() + 15
        while True:
            try:
                found = self._command("POST", "/element", {"using": "css selector", "value": selector})
                return str(found[_ELEMENT])
            except BrowserError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _command(self, method: str, path: str, body: object = None) -> Any:
        self._browser.command("POST", "/window", {"handle": self._handle})
        return self._browser.command(method, path, body)


def _trust(authority: Path, home: Path) -> None:
    """Let the browser of this home trust an authority: Chromium reads the database of NSS there."""
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    for arguments in (["-N", "--empty-password"], ["-A", "-t", "C,,", "-n", "authority", "-i", str(authority)]):
        subprocess.run(["certutil", "-d", f"sql:{database}", *arguments], check=True, timeout=60, capture_output=True)


def _program(name: str) -> str | None:
    chosen = os.environ.get(name.upper())
    if chosen is None and name == "chromium":
        return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return shutil.which(chosen or name)


def _read(file: IO[bytes]) -> str:
    return Path(file.name).read_text("utf-8", "replace")
