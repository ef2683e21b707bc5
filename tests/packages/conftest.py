"""What is installed, and a root to install it in."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("dpkg", "dpkg-deb", "unshare", "nsenter", "chroot", "man")
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip makes of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, timeout=300, stderr=subprocess.DEVNULL)
    (made,) = folder.glob("penstock-*.whl")
    return made


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        pytest.skip(f"{missing[0]} is not installed")
    out = tmp_path_factory.mktemp("deb")
    command = [sys.executable, str(ROOT / "tools" / "deb.py"), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1])


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[tuple[Path, Run]]:
    """A root of its own above the machine's: what is written there goes with the test. Yields its folder and what runs
    a command in it."""
    if os.geteuid():
        pytest.skip("only root can make another root")
    for name in ("upper", "work", "root"):
        (tmp_path / name).mkdir()
    mounts = (
        f"mount -t tmpfs tmpfs {tmp_path} && mkdir {tmp_path}/upper {tmp_path}/work {tmp_path}/root && "
        f"mount -t overlay overlay -o lowerdir=/,upperdir={tmp_path}/upper,workdir={tmp_path}/work {tmp_path}/root && "
        f"mount --bind /proc {tmp_path}/root/proc && mount --rbind /dev {tmp_path}/root/dev && "
        f"mount -t tmpfs tmpfs {tmp_path}/root/run && echo ready && exec sleep 600"
    )
    holder = subprocess.Popen(
        ["unshare", "-m", "--propagation", "private", "sh", "-c", mounts], stdout=subprocess.PIPE, text=True
    )
    try:
        if holder.stdout is None or holder.stdout.readline() != "ready\n":
            pytest.skip("this machine does not let a test mount anything")
        root = tmp_path / "root"

        def run(*command: str, fails: bool = False) -> "subprocess.CompletedProcess[str]":
            enter = ["nsenter", "-t", str(holder.pid), "-m", "chroot", str(root), *command]
            environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
            done = subprocess.run(enter, capture_output=True, text=True, timeout=200, env=environment)
            assert fails or done.returncode == 0, done.stdout + done.stderr
            return done

        yield Path(f"/proc/{holder.pid}/root{root}"), run
    finally:
        holder.kill()
        holder.wait()
        if holder.stdout is not None:
            holder.stdout.close()
