"""A directive that stands twice at one level: refused where nginx refuses it, taken where nginx takes it.

`tests/corpus/repeated.txt` says of every directive which it is; here Penstock is asked, and nginx where there is one
that knows the directive.
"""

from __future__ import annotations

import subprocess

import pytest

from harness.binary import nginx, stream_module
from harness.repeated import LEVELS, Bench, Line, lines
from harness.site import compiled
from penstock.config.errors import ConfigFailed
from penstock.config.registry import REGISTRY, Context, Verdict
from penstock.modules.load import known

CONTEXTS = {
    "main": Context.MAIN,
    "events": Context.EVENTS,
    "http": Context.HTTP,
    "upstream": Context.UPSTREAM,
    "server": Context.SERVER,
    "location": Context.LOCATION,
    "stream": Context.STREAM,
    "stream_server": Context.STREAM_SERVER,
    "stream_upstream": Context.STREAM_UPSTREAM,
}


OBSOLETE = {f"http2_{name}" for name in "idle_timeout max_concurrent_pushes max_field_size max_header_size".split()} | {
    f"http2_{name}" for name in "max_requests push push_preload recv_timeout".split()
}
"""What an older nginx still obeys."""


LINES = lines()


class Trial(Bench):
    """What Penstock and nginx have against a line."""

    def refused(self, line: Line, times: int) -> str:
        """What Penstock has against it; nothing where it takes it."""
        try:
            compiled(self.text(line, times), self.folder)
        except ConfigFailed as failed:
            return "; ".join(problem.message for problem in failed.problems if problem.level == "emerg")
        return ""

    def nginx_refuses(self, command: str, line: Line, times: int) -> str:
        path = self.folder / "nginx.conf"
        path.write_text(self.text(line, times))
        tried = subprocess.run(
            [command, "-t", "-c", str(path)], capture_output=True, text=True, timeout=30, check=False
        )
        return tried.stderr if tried.returncode else ""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    return Trial(tmp_path_factory.mktemp("twice"))


def test_the_list_has_every_directive_that_is_not_refused() -> None:
    known()
    listed = {(line.name, CONTEXTS[line.level]) for line in LINES}
    missing = [
        spec.name
        for spec in REGISTRY
        if spec.verdict is not Verdict.REFUSED
        and spec.name not in ("events", "http", "stream", "load_module", "ssl_certificate_key")
        and spec.name != "state"  # only in a group without servers, which these have
        and not any(name == spec.name and level & spec.where for name, level in listed)
    ]
    assert not missing


@pytest.mark.parametrize("level", LEVELS)
def test_penstock_takes_and_refuses_as_the_list_says(bench: Trial, level: str) -> None:
    wrong = []
    for line in LINES:
        if line.level != level:
            continue
        once, twice = bench.refused(line, 1), bench.refused(line, 2)
        if once:
            wrong.append(f"{line.text} alone: {once}")
        elif line.again and twice:
            wrong.append(f"{line.text} again: {twice}")
        elif not line.again and not twice:
            wrong.append(f"{line.text} is taken twice")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("level", LEVELS)
def test_so_does_nginx(bench: Trial, level: str) -> None:
    binary = nginx()
    if level.startswith("stream") and stream_module() is None:
        pytest.skip("nginx has no module for streams (Debian: libnginx-mod-stream)")
    wrong, asked = [], 0
    for line in LINES:
        if line.level != level or line.name in OBSOLETE or bench.nginx_refuses(binary.command[0], line, 1):
            continue
        asked += 1
        twice = bench.nginx_refuses(binary.command[0], line, 2)
        if bool(twice) == line.again:
            wrong.append(f"{line.text}: nginx {'refuses it: ' + twice if twice else 'takes it twice'}")
    assert not wrong, "\n".join(wrong)
    assert asked
