"""The commands of docs/install.md and of the README's beginning, typed in a copy of this root."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.backends.websocket import WebSocketEcho
from harness.pages import ROOT, Block, blocks, exemptions
from harness.ports import free_port

pytestmark = pytest.mark.skipif(not os.environ.get("PENSTOCK_PACKAGES"), reason="takes minutes: make test-packages")
Run = Callable[..., "object"]
CLONE = "/srv/penstock"


def shown(page: str) -> list[Block]:
    return [block for block in blocks() if block.page == page]


def elsewhere(page: str, command: str) -> bool:
    """Whether another line of the table than that of this test stands for it."""
    return any(each.covers(page, command) and not each.why.endswith(Path(__file__).name) for each in exemptions())


def script(block: Block, *more: str) -> str:
    lines = [each for each in block.commands() if not elsewhere(block.page, each)]
    return "\n".join(["set -eu", f"cd {CLONE}", *lines, *more])


def test_a_server_without_a_package(wheel: Path, inside: tuple[Path, Run]) -> None:
    """Root's way, with root's strictest umask; then the last block: is it well?"""
    root, run = inside
    copied(root, wheel)
    _, _, by_root, by_user, well = shown("docs/install.md")
    if (root / "usr/bin/penstock").exists():
        (root / "usr/bin/penstock").unlink()
    run("bash", "-c", "umask 077\n" + script(by_root))
    with WebSocketEcho() as backend:
        front = free_port()
        # What answers at 8080 is the command of the block before.
        proxy, probe = by_user.lines[-1], well.commands()[-1]
        assert "penstock proxy --from :8080 --to localhost:3000" in proxy and "localhost:8080" in probe
        proxy = proxy.replace("8080", str(front)).replace("3000", str(backend.port)).replace("~/penstock/bin/", "")
        text = "\n".join(["set -eu", *well.commands()[:-1], f"{proxy} > /tmp/said 2>&1 & proxy=$!"])
        text += "\nuntil grep -q 'Ctrl-C ends it' /tmp/said; do"
        text += " sleep 0.1; kill -0 $proxy || { cat /tmp/said; exit 1; }; done\n"
        text += probe.replace("8080", str(front)) + "\nkill -INT $proxy; wait $proxy"
        said = str(run("bash", "-c", text))
    assert "syntax is ok" in said and "the WebSocket is open" in said
    # The workers' user can read it, whatever root's umask was.
    assert "can not read" not in said


def test_a_user_without_root(wheel: Path, inside: tuple[Path, Run]) -> None:
    root, run = inside
    copied(root, wheel)
    block = shown("docs/install.md")[3]
    run("useradd", "--create-home", "--home-dir", "/home/tester", "tester")
    lines = [each for each in block.commands() if "penstock proxy" not in each]
    assert len(lines) == len(block.commands()) - 1
    run("su", "tester", "-c", "\n".join(["set -eu", f"cd {CLONE}", *lines, "~/penstock/bin/penstock -V"]))


def test_a_debian_package(package: Path, inside: tuple[Path, Run]) -> None:
    root, run = inside
    folder = root / CLONE.lstrip("/") / "dist"
    folder.mkdir(parents=True)
    shutil.copy(package, folder)
    (root / "etc/apt/apt.conf.d/90-nobody-to-ask").write_text('APT::Get::Assume-Yes "true";\n')
    for block in shown("docs/install.md")[:2]:
        said = str(run("bash", "-c", script(block)))
    assert "nothing found" in said


def test_a_clone_and_pip(inside: tuple[Path, Run]) -> None:
    root, run = inside
    ignored = shutil.ignore_patterns(".git", ".venv", "build", "dist", ".mypy_cache", ".hypothesis", "*.so")
    shutil.copytree(ROOT, root / CLONE.lstrip("/"), ignore=ignored)
    assert shown("README.md")[0].commands()[0] == "pip install ."
    text = script(shown("README.md")[0]).replace("penstock proxy", "penstock proxy --print")
    run("bash", "-c", f"python3 -m venv /opt/new\nPATH=/opt/new/bin:$PATH\n{text}\npenstock -V")


def copied(root: Path, wheel: Path) -> None:
    """Let the wheel and what lies beside it in a clone be there."""
    clone = root / CLONE.lstrip("/")
    clone.mkdir(parents=True)
    shutil.copy(wheel, clone)
    shutil.copytree(ROOT / "packaging", clone / "packaging")
