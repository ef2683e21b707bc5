"""The Debian package: installed, started, upgraded under an open WebSocket and purged, in a copy of this root."""

import os
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.sync.client import connect

from harness.backends.websocket import WebSocketEcho
from harness.ports import free_port
from harness.waiting import eventually

pytestmark = pytest.mark.skipif(not os.environ.get("PENSTOCK_PACKAGES"), reason="takes minutes: make test-packages")
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def newer(package: Path, folder: Path) -> Path:
    """The same package with the next version."""
    tree = folder / "newer"
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True, timeout=100)
    control = tree / "DEBIAN" / "control"
    lines = control.read_text().splitlines(keepends=True)
    control.write_text("".join("Version: 99.0\n" if line.startswith("Version:") else line for line in lines))
    made = folder / "penstock-newer.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, made], check=True, timeout=100, capture_output=True)
    return made


def test_it_is_installed_serves_is_upgraded_under_a_tunnel_and_goes(
    package: Path, tmp_path_factory: pytest.TempPathFactory, inside: tuple[Path, Run]
) -> None:
    root, run = inside
    install = ("dpkg", "--force-depends", "-i")
    (root / "tmp" / "first.deb").write_bytes(package.read_bytes())
    said = run(*install, "/tmp/first.deb").stdout
    assert "systemctl enable --now penstock" in said
    port = free_port()
    with WebSocketEcho() as backend:
        text = f"""server {{ listen 127.0.0.1:{port}; location = /version {{ return 200 ok; }}
            location / {{ proxy_pass http://127.0.0.1:{backend.port}; websocket auto; }} }}"""
        (root / "etc/penstock/conf.d/chat.conf").write_text(text)
        configuration = root / "etc/penstock/nginx.conf"
        configuration.write_text(configuration.read_text().replace("8080", str(free_port())))
        run("penstock", "-t")
        run("penstock")
        pid_file = root / "run/penstock.pid"
        try:
            first = eventually(lambda: pid_file.exists() and pid_file.read_text().strip(), 30, why="it serves")

            def users() -> set[str]:
                return set(run("ps", "-o", "user=", "--ppid", first, fails=True).stdout.split())

            eventually(lambda: users() == {"penstock"}, 30, why="workers have given up their privileges")
            with connect(f"ws://127.0.0.1:{port}/chat") as client:
                client.send("before")
                assert client.recv(20) == "before"
                (root / "tmp" / "second.deb").write_bytes(newer(package, tmp_path_factory.mktemp("next")).read_bytes())
                said = run(*install, "--force-confold", "/tmp/second.deb").stdout
                assert "the new version serves" in said
                second = eventually(
                    lambda: pid_file.exists() and (now := pid_file.read_text().strip()) != first and now, 30, why="USR2"
                )
                eventually(lambda: not Path(f"/proc/{first}/exe").exists(), 30, why="the old one has ended")
                client.send("after")
                assert client.recv(20) == "after"
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/version", timeout=20) as answer:
                assert answer.read() == b"ok"
            assert "penstock" in run("man", "-P", "cat", "penstock").stdout
        finally:
            run("dpkg", "--force-depends", "-r", "penstock", fails=True)
        eventually(lambda: not Path(f"/proc/{second}/exe").exists(), 30, why="it ends when it is removed")
    assert not (root / "usr/lib/penstock").exists()
    assert configuration.exists()
    run("dpkg", "--purge", "penstock")
    assert not (root / "var/log/penstock").exists() and not (root / "etc/penstock/nginx.conf").exists()


def test_what_it_brings_is_where_debian_has_it(package: Path) -> None:
    listed = subprocess.run(["dpkg-deb", "-c", package], capture_output=True, text=True, check=True).stdout
    paths = {line.split()[5].removeprefix(".") for line in listed.splitlines()}
    assert {
        "/usr/bin/penstock",
        "/etc/penstock/nginx.conf",
        "/etc/penstock/mime.types",
        "/etc/logrotate.d/penstock",
        "/lib/systemd/system/penstock.service",
        "/usr/lib/sysusers.d/penstock.conf",
        "/usr/share/man/man8/penstock.8.gz",
        "/usr/share/bash-completion/completions/penstock",
        "/usr/share/doc/penstock/copyright",
    } <= paths
    owners = {line.split()[1] for line in listed.splitlines()}
    assert owners == {"root/root"}
    assert not [path for path in paths if "__pycache__" in path or path.startswith("/home")]
