"""A certificate authority that speaks ACME: Debian's pebble, with a name server that says 127.0.0.1 to everything."""

import json
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.certs import Authority
from harness.ports import free_port
from harness.waiting import eventually


def missing() -> str | None:
    """Why none can be started, or None."""
    for program in ("pebble", "pebble-challtestsrv"):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: apt-get install pebble)"
    return None


class Pebble:
    """It looks at challenges at `http_port` and `tls_port`. `uri` is its directory, `authority.certificate` vouches for
    its own server, `root()` for what it issues. `refuse_nonces` is how many of a hundred it calls bad."""

    def __init__(self, http_port: int, tls_port: int, *, refuse_nonces: int = 0, seconds: int | None = None) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="pebble-"))
        self.authority = Authority(self.directory / "own")
        own = self.authority.issue("localhost", "127.0.0.1")
        self.port, self._management, self._names = free_port(), free_port(), free_port()
        self.uri = f"https://127.0.0.1:{self.port}/dir"
        about = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self._management}",
            "certificate": str(own.certificate),
            "privateKey": str(own.key),
            "httpPort": http_port,
            "tlsPort": tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
        }
        if seconds is not None:
            about["certificateValidityPeriod"] = seconds
        self._file = self.directory / "pebble.json"
        self._file.write_text(json.dumps({"pebble": about}))
        self._environment = {
            **os.environ,
            "PEBBLE_VA_NOSLEEP": "1",
            "PEBBLE_WFE_NONCEREJECT": str(refuse_nonces),
            "PEBBLE_AUTHZREUSE": "0",
        }
        self._log = (self.directory / "log").open("wb")
        self._server: subprocess.Popen[bytes] | None = None
        listens = ("-http01", "", "-https01", "", "-tlsalpn01", "")
        names = ("-dns01", f"127.0.0.1:{self._names}", "-management", f"127.0.0.1:{free_port()}")
        here = ("-defaultIPv4", "127.0.0.1", "-defaultIPv6", "")
        self._resolver = self._run("pebble-challtestsrv", *listens, *names, *here)
        self.start()

    def start(self) -> None:
        """Serve; accounts and orders of before are forgotten."""
        self._server = self._run(
            "pebble", "-config", str(self._file), "-dnsserver", f"127.0.0.1:{self._names}", "-strict"
        )
        eventually(self._answers, 30, why="pebble serves")

    def stop(self) -> None:
        """Be away."""
        if self._server is not None:
            self._server.send_signal(signal.SIGTERM)
            self._server.wait(20)
            self._server = None

    def root(self) -> str:
        """What vouches for the certificates that it issues, as PEM. It makes a new one at each start."""
        return self._get(f"https://127.0.0.1:{self._management}/roots/0")

    def said(self) -> str:
        """Its log."""
        return (self.directory / "log").read_text("utf-8", "replace")

    def _answers(self) -> bool:
        try:
            return bool(self._get(self.uri))
        except OSError:
            return False

    def _get(self, url: str) -> str:
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        with urllib.request.urlopen(url, timeout=20, context=context) as answer:
            return str(answer.read().decode())

    def _run(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT, env=self._environment
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._resolver.terminate()
        self._resolver.wait(20)
        self._log.close()
        shutil.rmtree(self.directory, ignore_errors=True)
