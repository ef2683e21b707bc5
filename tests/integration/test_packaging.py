"""The unit and the image, as far as that goes without systemd and docker, and the image's command as process 1."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.binary import penstock
from harness.ports import free_port
from harness.processes import children
from harness.raw import raw_http
from harness.waiting import eventually

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"


def test_the_units_are_sound(tmp_path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    for name in ("penstock.service", "penstock.socket"):
        text = (PACKAGING / "systemd" / name).read_text()
        (tmp_path / name).write_text(text.replace("/usr/bin/penstock", sys.executable))
    done = subprocess.run(
        [analyze, "verify", *map(str, tmp_path.iterdir())], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_speaks_for_itself_and_stops_gracefully() -> None:
    lines = (PACKAGING / "systemd" / "penstock.service").read_text().splitlines()
    for line in ("Type=notify", "NotifyAccess=main", "KillSignal=SIGQUIT", "KillMode=mixed"):
        assert line in lines
    (start,) = (line for line in lines if line.startswith("ExecStart="))
    assert start.endswith('-g "daemon off;"')


def instructions() -> dict[str, list[str]]:
    """Of the image's last stage."""
    text = (PACKAGING / "docker" / "Dockerfile").read_text().replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        if name == "FROM":
            found.clear()
        if name.isupper():
            found.setdefault(name, []).append(rest)
    return found


def test_the_image_stops_cleanly_and_is_not_root() -> None:
    found = instructions()
    assert found["STOPSIGNAL"] == ["SIGQUIT"]
    assert json.loads(found["ENTRYPOINT"][0]) == ["/opt/penstock/bin/penstock"]
    assert json.loads(found["CMD"][0]) == ["-e", "stderr", "-g", "daemon off;"]
    (user,) = found["USER"]
    assert not re.match(r"0|root", user)
    copied = [rest.split()[-2] for rest in found["COPY"] if "--from" not in rest]
    for path in copied:
        assert (PACKAGING.parent / path).exists()
        assert f"!{path}" in (PACKAGING.parent / ".dockerignore").read_text()


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that another user can reach."""
    path = Path(tempfile.mkdtemp(prefix="penstock-test-"))
    os.chown(path, 65534, 65534)
    yield path
    shutil.rmtree(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes namespaces")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGQUIT, 0), (signal.SIGTERM, 0)], ids=["docker stop", "docker stop -s TERM"]
)
def test_the_images_command_as_process_1(folder, number, code) -> None:
    port = free_port()
    text = (PACKAGING / "docker" / "nginx.conf").read_text()
    text = text.replace("8080", f"127.0.0.1:{port}").replace("/run/penstock", str(folder))
    text = text.replace("worker_processes auto", "worker_processes 1")
    configuration = folder / "nginx.conf"
    configuration.write_text(text)
    tools = ["unshare", "--pid", "--fork", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run([*tools, "true"], capture_output=True).returncode:
        pytest.skip("no process namespaces here")
    if subprocess.run([*tools, *penstock().command, "-v"], capture_output=True).returncode:
        pytest.skip("another user can not run this installation")
    command = [*tools, *penstock().command, "-c", str(configuration), *json.loads(instructions()["CMD"][0])]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    try:
        eventually((folder / "penstock.pid").exists)
        assert eventually((folder / "penstock.pid").read_text) == "1\n"
        (first,) = children(running.pid)
        answer = raw_http(port, b"GET /hello HTTP/1.0\r\n\r\n")
        assert b"Penstock is running" in answer
        os.kill(first, signal.SIGUSR2)
        time.sleep(0.3)
        os.kill(first, number)
        out, error = running.communicate(timeout=15)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
    assert running.returncode == code, error
    assert re.search(rb'127\.0\.0\.1 .* "GET /hello HTTP/1\.0" 200 ', out)
    assert b"the end of process 1 would be the end of its container" in error
    assert not (folder / "penstock.pid").exists()
