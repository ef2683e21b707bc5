"""Where nothing can be written, commands and the server say so in a line, and nothing is a traceback."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.binary import penstock
from harness.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
# Every file system of a mount namespace of our own becomes one that can only be read.
SCRIPT = """
import os, subprocess, sys
mounts = [line.split()[4] for line in open("/proc/self/mountinfo")]
for place in sorted(set(mounts), key=len, reverse=True):
    if not place.startswith(("/proc", "/sys")):
        subprocess.run(["mount", "-o", "remount,bind,ro", place], stderr=subprocess.DEVNULL)
try:
    open("here", "w")
except OSError:
    if os.statvfs("/dev").f_flag & os.ST_RDONLY:
        os.execvp(sys.argv[1], sys.argv[1:])
sys.exit(77)
"""
SITE = "events { } http { server { listen 127.0.0.1:1; location / { return 200; } } }"


def read_only(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the folder, where nothing can be written."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root makes namespaces")
    script = ["unshare", "--mount", sys.executable, "-c", SCRIPT, *command]
    done = subprocess.run(script, cwd=folder, capture_output=True, text=True, timeout=40)
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("no mount namespaces here")
    return done


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("tunnels -c nginx.conf", 3, "there is no folder"),
        ("tunnels -p none/", 3, "can not be read"),
        ("tunnels", 0, ""),
        ("proxy --from 127.0.0.1:{port} --to 127.0.0.1:3", 1, "no folder for temporary files can be written to"),
        ("proxy --from 127.0.0.1:{port} --to 127.0.0.1:3 --tls", 1, "Read-only file system"),
        ("init", 1, "Read-only file system"),
        ("check --fix bad.conf", 2, "Read-only file system"),
        ("-t -p ./", 1, 'open() "./logs/nginx.pid" failed (30: Read-only file system)'),
        ("-p ./ -e stderr", 1, 'open() "./logs/access.log" failed (30: Read-only file system)'),
        ("-p ./ -e stderr -g pid\0x;error_log\0stderr;", 1, "Read-only file system"),
        ("-s reload -p ./", 1, "does not run"),
    ],
)
def test_each_says_what_it_can_not_write(tmp_path: Path, arguments: str, code: int, said: str) -> None:
    if "init" in arguments:
        (tmp_path / "package.json").write_text('{"dependencies": {"ws": "1"}}')
    else:
        (tmp_path / "nginx.conf").write_text("pid x.pid;" * ("tunnels" in arguments) + SITE)
    bad = "http { server { location / { proxy_pass http://127.0.0.1:1; proxy_set_header Upgrade $http_upgrade; } } }"
    (tmp_path / "bad.conf").write_text(f"events {{ }} {bad}")
    (tmp_path / "logs").mkdir()
    words = [each.replace("\0", " ").replace("{port}", str(free_port())) for each in arguments.split(" ")]
    done = read_only(tmp_path, "env", f"HOME={tmp_path}", *penstock().command, *words)
    text = done.stdout + done.stderr
    assert "Traceback" not in text, text
    if said:
        assert done.returncode == code, text
        assert said in text


@pytest.mark.parametrize("script", [["run.py"], ["foreground.py", "nginx.conf"]])
def test_the_demo_says_so(tmp_path: Path, script: list[str]) -> None:
    (tmp_path / "nginx.conf").write_text(SITE)
    done = read_only(tmp_path, sys.executable, str(ROOT / "demo" / script[0]), *script[1:])
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 1
    assert "TMPDIR" in done.stderr


def test_a_server_without_a_place_for_anything_serves(tmp_path: Path) -> None:
    """With a pid file that goes nowhere and logs on standard error, nothing has to be written."""
    port = free_port()
    site = f"http {{ access_log off; server {{ listen 127.0.0.1:{port}; location / {{ return 200 here; }} }} }}"
    (tmp_path / "nginx.conf").write_text(f"pid /dev/null; error_log stderr; daemon off; events {{ }} {site}")
    code = (
        "import subprocess, sys, time, urllib.request\n"
        "running = subprocess.Popen(sys.argv[1:])\n"
        "for _ in range(200):\n"
        "    try:\n"
        f"        print(urllib.request.urlopen('http://127.0.0.1:{port}/').read())\n"
        "        break\n"
        "    except OSError:\n"
        "        time.sleep(0.05)\n"
        "running.terminate()\n"
        "print(running.wait())\n"
    )
    command = [*penstock().command, "-p", f"{tmp_path}/", "-c", "nginx.conf", "-e", "stderr"]
    done = read_only(tmp_path, sys.executable, "-c", code, *command)
    assert done.stdout.split() == ["b'here'", "0"], done
    assert not re.search(r"Traceback|\[alert\]", done.stderr), done.stderr
    assert Path("/dev/null").is_char_device()
