"""The unit and the image, as far as that goes without systemd and docker, and the image's command as process 1."""

import json
import os
import re
import shlex
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
        [analyze, "verify", "--man=no", *map(str, tmp_path.iterdir())], capture_output=True, text=True, timeout=60
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
    copied = [path for rest in found["COPY"] if "--from" not in rest for path in rest.split()[:-1]]
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


# What people mount: pid files and logs of other users, a port below 1024, mime.types.
ORDINARY = """
    user www-data;
    worker_processes 2;
    pid %(pid)s;
    error_log /var/log/nginx/error.log notice;
    events { worker_connections 128; }
    http {
        include /etc/nginx/mime.types;
        access_log /var/log/nginx/access.log;
        client_body_temp_path /var/lib/nginx/body;
        server { listen %(port)d; location / { return 200 "ordinary\\n"; } }
        include /etc/nginx/conf.d/*.conf;
    }
"""

INSIDE = r"""
set -e
ip link set lo up
echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start
for place in /run /var/log /var/cache /var/lib /etc/nginx /opt /etc/penstock; do
    mkdir -p $place
    mount -t tmpfs -o mode=755 tmpfs $place
done
cp %(packaging)s/docker/mime.types %(packaging)s/docker/nginx.conf /etc/nginx/
sh %(packaging)s/docker/places.sh %(owner)s
if [ -f %(folder)s/nginx.conf ]; then cp %(folder)s/nginx.conf /etc/nginx/; fi
as() { setpriv --reuid=%(uid)s --regid=0 --clear-groups "$@"; }
healthy() { as %(python)s -I %(packaging)s/docker/health.py; }
cd /
setpriv --reuid=%(uid)s --regid=0 --clear-groups %(penstock)s %(arguments)s & main=$!
tries=0
until healthy > /dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] && kill -0 $main || { echo "never healthy"; exit 1; }
    sleep 0.1
done
echo healthy
%(python)s -c "
import urllib.request
print(urllib.request.urlopen('http://127.0.0.1:%(port)d/').read().decode(), end='')"
kill -QUIT $main
wait $main
echo "ended with $?"
if healthy; then echo "still healthy"; fi
"""


def runner() -> tuple[str, str] | None:
    """A Python that everybody may run, and a command line of Penstock in it."""
    places = os.pathsep.join([str(PACKAGING.parent / "src"), *(each for each in sys.path if "site-packages" in each)])
    for python in (sys.executable, "/usr/bin/python3"):
        command = f"env PYTHONPATH={places} {python} -m penstock"
        tried = ["setpriv", "--reuid=10001", "--regid=0", "--clear-groups", *command.split(), "-v"]
        if subprocess.run(tried, capture_output=True, cwd="/").returncode == 0:
            return python, command
    return None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes namespaces")
@pytest.mark.parametrize("uid", [10001, 54321], ids=["its own user", "another user"])
@pytest.mark.parametrize("given", ["nothing", "/run/nginx.pid", "/var/run/nginx.pid", "logs/nginx.pid", "no control"])
def test_the_image_runs_ordinary_configurations(folder, given, uid) -> None:
    found = runner()
    tools = ["unshare", "--pid", "--net", "--mount", "--fork", "--mount-proc"]
    if found is None or subprocess.run([*tools, "true"], capture_output=True).returncode:
        pytest.skip("no namespaces here, or another user can not run this installation")
    if not instructions()["USER"][0].endswith(":0") or shutil.which("ip") is None:
        pytest.skip("there is no ip")
    port = 8080
    if given != "nothing":
        port = 80
        text = ORDINARY % {"pid": given if "/" in given else "/run/nginx.pid", "port": port}
        if given == "no control":
            text = "control_socket off;" + text
        (folder / "nginx.conf").write_text(text)
    arguments = " ".join(shlex.quote(each) for each in json.loads(instructions()["CMD"][0]))
    values = {
        "packaging": PACKAGING, "folder": folder, "owner": 10001, "uid": uid, "port": port,
        "python": found[0], "penstock": found[1], "arguments": arguments,
    }  # fmt: skip
    done = subprocess.run([*tools, "sh", "-c", INSIDE % values], capture_output=True, text=True, timeout=60)
    said = "ordinary" if given != "nothing" else "Penstock is running"
    assert said in done.stdout, done
    assert "healthy\n" in done.stdout
    assert "ended with 0\n" in done.stdout, done
    assert "still healthy" not in done.stdout
    assert '"GET / HTTP/1.1" 200' in done.stdout, done  # the access log
    assert "exiting" in done.stderr  # the error log
    assert "[alert]" not in done.stderr
    assert "[emerg]" not in done.stderr


def test_the_manual_page_is_made_of_what_the_command_says() -> None:
    made = subprocess.run(
        [sys.executable, str(PACKAGING.parent / "tools" / "manual.py")], capture_output=True, text=True, timeout=100
    )
    assert made.returncode == 0, made.stderr
    for part in (".SH SYNOPSIS", ".SH OPTIONS", ".SS tunnels", ".SS check", "\\-\\-watch"):
        assert part in made.stdout
    # In man(7) a line that begins with a dot or a quote is a request.
    known = {".TH", ".SH", ".SS", ".TP", ".nf", ".fi", ".I", ".IR", ".BR"}
    assert {line.split()[0] for line in made.stdout.splitlines() if line[:1] in (".", "'")} <= known
