"""From a wheel in a clean environment to a page over https:// in a browser, by one command."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import browser, pebble
from harness.backends.websocket import WebSocketEcho
from harness.ports import free_port
from harness.proxy_command import running
from harness.waiting import eventually

NAME = "chat.example.org"
SECONDS = 30
"""From the command to the page, certificate included."""
NOBODY = 65534
pytestmark = [
    pytest.mark.skipif(not os.environ.get("PENSTOCK_PACKAGES"), reason="takes minutes: make test-packages"),
    pytest.mark.skipif(
        (browser.missing() or pebble.missing()) is not None or shutil.which("certutil") is None,
        reason=browser.missing() or pebble.missing() or "there is no certutil (Debian: apt-get install libnss3-tools)",
    ),
]


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Iterator[Path]:
    """A new environment with the wheel and its extra for certificates; everybody may read it."""
    python = next((path for path in ("/usr/bin/python3", sys.executable) if _has_venv(path)), None)
    assert python is not None
    folder = Path(tempfile.mkdtemp(prefix="penstock-wheel-"))
    try:
        folder.chmod(0o755)
        subprocess.run([python, "-m", "venv", str(folder / "venv")], check=True, timeout=120, umask=0o022)
        install = [str(folder / "venv/bin/pip"), "install", "--quiet", "--disable-pip-version-check", f"{wheel}[acme]"]
        subprocess.run(install, check=True, timeout=300, umask=0o022, stderr=subprocess.DEVNULL)
        yield folder / "venv/bin/penstock"
    finally:
        shutil.rmtree(folder)


def _has_venv(python: str) -> bool:
    test = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
    return subprocess.run([python, "-c", test], capture_output=True, timeout=60).returncode == 0


@pytest.mark.parametrize("who", ["root", "a user"])
def test_one_command_to_a_page_over_https(installed: Path, who: str) -> None:
    user = NOBODY if who == "a user" and not os.geteuid() else None
    if who == "root" and os.geteuid():
        pytest.skip("this is not root")
    home = Path(tempfile.mkdtemp(prefix="penstock-home-"))
    tls, plain = free_port(), free_port()
    try:
        if user is not None:
            os.chown(home, user, user)
            if subprocess.run([installed, "-v"], user=user, group=user, capture_output=True).returncode:
                pytest.skip("another user can not run the Python of this machine")
        with pebble.Pebble(plain, tls) as authority, WebSocketEcho() as backend:
            os.chmod(authority.directory, 0o755)  # noqa: PTH101
            os.chmod(authority.authority.certificate.parent, 0o755)  # noqa: PTH101
            root = home / "root.pem"
            root.write_text(authority.root())
            issuer = ("--issuer", authority.uri, "--issuer-cafile", str(authority.authority.certificate))
            arguments = ("--from", f"{NAME}:{tls}", "--http-port", str(plain), "--to", str(backend.port), *issuer)
            state = "" if user else str(home / "state")
            environment = {"HOME": str(home), "TMPDIR": str(home), "XDG_STATE_HOME": state}
            if user is None:
                home.chmod(0o711)  # the workers are somebody else
            with browser.Browser(f"--host-resolver-rules=MAP {NAME} 127.0.0.1", trusts=root) as chromium:
                began = time.monotonic()
                command = (str(installed),)
                with running(*arguments, command=command, user=user, environment=environment, cwd=home) as proxy:
                    words = "a certificate for chat.example.org has come"
                    eventually(lambda: words in proxy.output, SECONDS, why="the certificate has come")
                    context = ssl.create_default_context(cafile=str(root))
                    eventually(lambda: _trusted(tls, context), SECONDS, why="it is shown")
                    page = chromium.open(f"http://{NAME}:{plain}/")
                    assert page.script("return location.href") == f"https://{NAME}:{tls}/"
                    assert page.script("return isSecureContext")
                    took = time.monotonic() - began
                    assert page.script("return performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
            print(f"{who}: {took:.1f} s from the command to the page")
            assert took < SECONDS
        kept = home / ("state" if user is None else ".local/state") / "penstock"
        assert list(kept.glob("acme_*/account.key"))
    finally:
        shutil.rmtree(home)


def _trusted(port: int, context: ssl.SSLContext) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 20) as plain:
            context.wrap_socket(plain, server_hostname=NAME).close()
    except ssl.SSLCertVerificationError:
        return False
    return True
