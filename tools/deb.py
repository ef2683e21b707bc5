"""Make a Debian package of this checkout: dist/penstock_VERSION_ARCHITECTURE.deb.

    python tools/deb.py [--python /usr/bin/python3] [--out dist]

The package holds Penstock and the libraries it needs below /usr/lib/penstock, for the Python that `--python` is:
Debian's own h2 is older than what Penstock needs. Needs dpkg-deb, and pip in the Python that runs this.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from manual import page

from penstock import __version__

ROOT = Path(__file__).resolve().parents[1]
PACKAGING = ROOT / "packaging"

CONTROL = """\
Package: penstock
Version: {version}
Architecture: {architecture}
Maintainer: The Penstock developers <penstock@localhost>
Installed-Size: {size}
Depends: python3 (>= {python}), python3 (<< {next}), passwd
Recommends: libpcre2-8-0, logrotate
Section: httpd
Priority: optional
Description: reverse proxy and load balancer for WebSockets
 Penstock runs an nginx.conf: WebSockets and requests go to groups of backends, over TLS, HTTP/1.1 and HTTP/2. Tunnels
 stay open while the configuration is reloaded and the program is upgraded.
"""

COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: penstock

Files: *
Copyright: The Penstock developers
License: Apache-2.0
 On Debian systems the text is in /usr/share/common-licenses/Apache-2.0. The libraries below /usr/lib/penstock have
 their licenses in the folders that end in .dist-info.
"""

PLATFORMS = ("linux", "manylinux_2_28", "manylinux2014", "manylinux_2_34")
CONFIGURATION = ("/etc/penstock/nginx.conf", "/etc/penstock/mime.types", "/etc/logrotate.d/penstock")


def main() -> None:
    """Make the package, and print where it is."""
    parser = argparse.ArgumentParser(description="Make a Debian package of this checkout.")
    parser.add_argument("--python", default="/usr/bin/python3", help="the Python of the machines it is for")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    options = parser.parse_args()
    options.out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="penstock-deb-") as folder:
        tree = Path(folder) / "tree"
        tree.mkdir(mode=0o755)
        _modules(tree, Path(folder), options.python)
        _files(tree)
        print(_built(tree, options.python, options.out))


def _modules(tree: Path, scratch: Path, python: str) -> None:
    """Put Penstock and its libraries where the command looks for them, as that Python needs them."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", scratch, ROOT], check=True)
    (wheel,) = scratch.glob("penstock-*.whl")
    machine = os.uname().machine
    chosen = [word for name in PLATFORMS for word in ("--platform", f"{name}_{machine}")]
    target = ["--target", tree / "usr/lib/penstock", "--no-compile", "--only-binary=:all:"]
    subprocess.run([*pip, "install", *target, "--python-version", _version(python), *chosen, wheel], check=True)
    shutil.rmtree(tree / "usr/lib/penstock/bin", ignore_errors=True)


def _files(tree: Path) -> None:
    """Put the rest where Debian has it."""
    _put(tree, "usr/bin/penstock", PACKAGING / "deb/penstock", 0o755)
    _put(tree, "etc/penstock/nginx.conf", PACKAGING / "deb/nginx.conf")
    _put(tree, "etc/penstock/mime.types", PACKAGING / "docker/mime.types")
    (tree / "etc/penstock/conf.d").mkdir(mode=0o755)
    _put(tree, "etc/logrotate.d/penstock", PACKAGING / "logrotate/penstock")
    _put(tree, "lib/systemd/system/penstock.service", PACKAGING / "systemd/penstock.service")
    _put(tree, "lib/systemd/system/penstock.socket", PACKAGING / "systemd/penstock.socket")
    _put(tree, "usr/lib/sysusers.d/penstock.conf", PACKAGING / "systemd/penstock.sysusers")
    documents = "usr/share/doc/penstock"
    _write(tree, f"{documents}/copyright", COPYRIGHT.encode())
    _write(tree, f"{documents}/changelog.gz", _packed((ROOT / "CHANGELOG.md").read_bytes()))
    _write(tree, "usr/share/man/man8/penstock.8.gz", _packed(page().encode()))
    for shell, path in (
        ("bash", "usr/share/bash-completion/completions/penstock"),
        ("zsh", "usr/share/zsh/vendor-completions/_penstock"),
        ("fish", "usr/share/fish/vendor_completions.d/penstock.fish"),
    ):
        script = [Path(sys.executable).with_name("penstock"), "completion", shell]
        _write(tree, path, subprocess.run(script, check=True, capture_output=True, timeout=60).stdout)


def _built(tree: Path, python: str, out: Path) -> Path:
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True
    ).stdout.strip()
    major, minor = _version(python).split(".")
    control = tree / "DEBIAN"
    control.mkdir(mode=0o755)
    text = CONTROL.format(
        version=__version__,
        architecture=architecture,
        size=sum(path.lstat().st_size for path in tree.rglob("*")) // 1024,
        python=f"{major}.{minor}",
        next=f"{major}.{int(minor) + 1}",
    )
    (control / "control").write_text(text)
    (control / "conffiles").write_text("".join(f"{path}\n" for path in CONFIGURATION))
    for name in ("postinst", "prerm", "postrm"):
        shutil.copy(PACKAGING / "deb" / name, control / name)
        (control / name).chmod(0o755)
    package = out / f"penstock_{__version__}_{architecture}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, package], check=True, capture_output=True)
    return package


def _version(python: str) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def _packed(data: bytes) -> bytes:
    """Return the same bytes for the same input: no time, no name."""
    return gzip.compress(data, 9, mtime=0)


def _put(tree: Path, path: str, source: Path, mode: int = 0o644) -> None:
    _write(tree, path, source.read_bytes(), mode)


def _write(tree: Path, path: str, data: bytes, mode: int = 0o644) -> None:
    target = tree / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    target.chmod(mode)


if __name__ == "__main__":
    os.umask(0o022)
    main()
