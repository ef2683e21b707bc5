"""A program that takes another's place by USR2 and then behaves badly: run in place of a new version.

    successor.py MODE       what the older program's workers meet, who want to hand their tunnels over

    mute        nobody answers
    version     somebody of another version
    noise       somebody who says nothing that can be understood
    refuse      somebody who wants none of the tunnels
    crash       somebody who dies with tunnels offered and not yet accepted
"""

import json
import os
import socket
import struct
import sys
import time

HEAD = struct.Struct("!BBIII")
HELLO, TUNNEL, ASK, READY = 1, 3, 4, 5


def say(conn: socket.socket, kind: int, text: object) -> None:
    words = json.dumps(text).encode()
    conn.sendall(HEAD.pack(kind, 0, len(words), 0, 0) + words)


def hear(conn: socket.socket, buffer: bytearray) -> tuple[int, dict[str, object]]:
    """The next frame; descriptors that come with it are dropped."""
    while True:
        if len(buffer) >= HEAD.size:
            kind, _, text, one, other = HEAD.unpack_from(buffer)
            whole = HEAD.size + text + one + other
            if len(buffer) >= whole:
                words = bytes(buffer[HEAD.size : HEAD.size + text])
                del buffer[:whole]
                return kind, json.loads(words)
        data, fds, _, _ = socket.recv_fds(conn, 65536, 8)
        for fd in fds:
            os.close(fd)
        if not data:
            raise SystemExit(0)
        buffer += data


def meet(conn: socket.socket, mode: str) -> None:
    buffer = bytearray()
    if mode == "mute":
        return
    if mode == "noise":
        conn.sendall(b"\xff" * 64)
        return
    _, hello = hear(conn, buffer)
    version = 99 if mode == "version" else hello["version"]
    say(conn, HELLO, {"version": version, "program": "stranger/9"})
    if mode == "version":
        return
    offered = []
    while True:
        kind, told = hear(conn, buffer)
        if kind == TUNNEL:
            offered.append(told["id"])
        elif kind == ASK and mode == "refuse":
            say(conn, READY, {"ready": [], "refused": [{"id": each, "why": "no room"} for each in offered]})
            offered = []
        elif kind == ASK:
            os._exit(3)


def main() -> None:
    mode = sys.argv[1]
    link = socket.socket(fileno=int(os.environ["PENSTOCK_LINK"]))
    conns = []
    while True:
        data, fds, _, _ = socket.recv_fds(link, 4096, 1)
        if not data:
            # The older program has gone.
            time.sleep(0.2)
            return
        conns.append(socket.socket(fileno=fds[0]))
        meet(conns[-1], mode)


main()
