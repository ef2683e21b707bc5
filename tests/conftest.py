"""Fixtures for tests that start real processes; `harness/__init__.py` describes them."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from websockets.sync.client import connect

from harness import binary
from harness.binary import Binary, DidNotStart, Refusal, penstock
from harness.proxy import Proxy
from harness.waiting import PATIENCE

# Clients in tests talk to this machine, whatever proxy its user has set for the rest of the world.
os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,localhost,::1"

# A handshake waits as long as anything else.
connect.__kwdefaults__ = {**(connect.__kwdefaults__ or {}), "open_timeout": PATIENCE}

# An example may take its time on a busy machine. Where CI is set, Hypothesis has a profile of its own, without chance.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if not os.environ.get("CI"):
    settings.load_profile("patient")


class Launcher:
    """Starts proxies of one binary and ends them with the test."""

    def __init__(self, binary: Binary, stack: ExitStack) -> None:
        self.binary = binary
        self._stack = stack

    def __call__(self, configuration: str, **options: Any) -> Proxy:
        """Start; the options are those of `Proxy`."""
        return self._stack.enter_context(Proxy(configuration, self.binary, **options))

    def check(self, configuration: str, **options: Any) -> Refusal:
        """What `-t` says."""
        proxy = Proxy(configuration, self.binary, **options)
        try:
            return proxy.check()
        finally:
            proxy.discard()

    def refuses(self, configuration: str, **options: Any) -> Refusal:
        """Start what must not start; fails when it does."""
        proxy = Proxy(configuration, self.binary, **options)
        try:
            proxy.start()
        except DidNotStart as failure:
            return failure.refusal
        finally:
            proxy.discard()
        raise AssertionError("the configuration was accepted")


@pytest.fixture
def proxy() -> Iterator[Launcher]:
    """Starts the program under test."""
    with ExitStack() as stack:
        yield Launcher(penstock(), stack)


@pytest.fixture
def nginx() -> Iterator[Launcher]:
    """Starts nginx; skips where there is none."""
    found = binary.nginx()
    with ExitStack() as stack:
        yield Launcher(found, stack)


@pytest.fixture
def http_backend() -> Iterator[Any]:
    from harness.backends import HttpEcho

    with HttpEcho() as backend:
        yield backend


@pytest.fixture
def ws_backend() -> Iterator[Any]:
    from harness.backends import WebSocketEcho

    with WebSocketEcho() as backend:
        yield backend


@pytest.fixture
def asgi_backend() -> Iterator[Any]:
    from harness.backends import AsgiBackend

    with AsgiBackend() as backend:
        yield backend


@pytest.fixture
def raw_backend() -> Iterator[Callable[..., Any]]:
    """A factory: `raw_backend(script, ...)` gives a `RawBackend`."""
    from harness.backends import RawBackend

    with ExitStack() as stack:
        yield lambda *scripts, **options: stack.enter_context(RawBackend(*scripts, **options))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A certificate authority: `authority.issue("localhost")`."""
    from harness.certs import Authority

    return Authority(Path(tmp_path_factory.mktemp("authority")))


@pytest.fixture
def browser() -> Iterator[Any]:
    """Headless Chromium; skips where it is missing."""
    from harness.browser import Browser, missing

    if reason := missing():
        pytest.skip(reason)
    with Browser() as chromium:
        yield chromium


@pytest.fixture
def vanishing() -> Iterator[Any]:
    """A network for a client that can vanish; skips where none can be made."""
    from harness.vanishing import Vanishing, missing

    if reason := missing():
        pytest.skip(reason)
    with Vanishing() as network:
        yield network
