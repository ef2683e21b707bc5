"""Whether Penstock serves in this container: a worker answers at its control socket.

That depends on no port and no path of the configuration: the kernel lists the unix sockets that are listened on, and
those of workers are named after their processes. Where `control_socket` is off, workers have to be there, no more.
"""

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

PATIENCE = 2.0
_WORKER = b"penstock: worker process"


def sockets() -> Iterator[tuple[int, str]]:
    """Process and path of what may be a worker's control socket."""
    with Path("/proc/net/unix").open(encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            path = line.rstrip("\n").partition(" /")[2]
            name = path.rpartition("/")[2]
            if path and name.isascii() and name.isdigit() and Path("/proc", name).exists():
                yield int(name), f"/{path}"


def answers(process: int, path: str) -> bool:
    """Whether it is a worker's, and says so."""
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(path)
            sock.sendall(json.dumps({"do": "tunnels", "limit": 0}).encode() + b"\n")
            said = b""
            while piece := sock.recv(65536):
                said += piece
        return json.loads(said).get("pid") == process
    except (OSError, ValueError, AttributeError):
        return False


def workers() -> Iterator[int]:
    """Processes that call themselves so."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().startswith(_WORKER):
                yield int(process.name)
        except OSError:
            continue


def main() -> int:
    """The exit code that docker asks for: 0 healthy, 1 not."""
    found = list(sockets())
    if any(answers(process, path) for process, path in found):
        return 0
    if not found and any(workers()):
        print("no worker has a control socket, but there are workers")
        return 0
    print("no worker answers" if found else "no worker is there")
    return 1


if __name__ == "__main__":
    sys.exit(main())
