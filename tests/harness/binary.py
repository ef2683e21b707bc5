"""Which program a test runs, and how one ends that does not start."""

import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Binary:
    """A program with nginx's command line. `reference` tells nginx from Penstock."""

    command: tuple[str, ...]

    @property
    def reference(self) -> bool:
        return "nginx" in Path(self.command[0]).name


def penstock() -> Binary:
    """The program under test: `PENSTOCK_BINARY`, or the `penstock` of this Python's environment."""
    if chosen := os.environ.get("PENSTOCK_BINARY"):
        return Binary(tuple(shlex.split(chosen)))
    return installed()


def installed() -> Binary:
    """The `penstock` of this Python's environment, for commands that only Penstock has."""
    script = Path(sys.executable).with_name("penstock")
    return Binary((str(script),) if script.exists() else (sys.executable, "-m", "penstock.cli.main"))


def reference() -> Binary | None:
    """nginx, from `NGINX_BINARY` or where systems put it, or None."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    found = os.environ.get("NGINX_BINARY") or shutil.which("nginx", path=path)
    return Binary((found,)) if found else None


def nginx() -> Binary:
    """nginx, to be asked the same; the test is skipped where there is none."""
    found = reference()
    if found is None:
        pytest.skip("no nginx to compare with (set NGINX_BINARY)")
    return found


def each_of_both(name: str) -> tuple[Binary, ...]:
    """What `Proxy` takes behind its configuration for `penstock` or `nginx`, the parameters of a test of both."""
    return (nginx(),) if name == "nginx" else ()


def stream_module() -> Path | None:
    """The file of nginx's module for streams, where packages have it; None where there is none."""
    found = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
    return found if found.exists() else None


def load_stream() -> str:
    """What a configuration begins with for nginx to know streams; Penstock takes it, and knows them without."""
    found = stream_module()
    return "" if found is None else f"load_module {found};"


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a program ended that did not start: exit code, and what it printed and logged."""

    code: int
    output: str


class DidNotStart(AssertionError):
    """The proxy ended, or was not ready in time; `refusal` holds what it said."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"the proxy did not start (exit code {refusal.code}):\n{refusal.output}")
        self.refusal = refusal
