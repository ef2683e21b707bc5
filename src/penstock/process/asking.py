"""Asking all workers of a running proxy, from another process: what `penstock tunnels` stands on."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from typing import Any

from penstock.observe.siblings import is_answer
from penstock.process.control import paths_in

PATIENCE = 10.0
LONGEST_ANSWER = 256 << 20


class NobodyThere(Exception):
    """No worker could be asked; the text says why and what to look at."""


def ask_workers(folder: str, question: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What each worker answers. Raises `NobodyThere`, and `ValueError` with a worker's words for a bad question."""
    try:
        paths = paths_in(folder)
    except FileNotFoundError:
        words = f"there is no folder {folder}: does the proxy run, and is its control_socket elsewhere?"
        raise NobodyThere(words) from None
    except OSError as error:
        raise NobodyThere(f"{folder} can not be read: {os.strerror(error.errno or 0)}") from None
    found: list[dict[str, Any]] = []
    trouble = ""
    for path in paths:
        try:
            answer = _ask(path, question)
        except (ConnectionRefusedError, FileNotFoundError):
            continue  # it is gone, and its socket will be
        except (OSError, ValueError) as error:
            trouble = f"{path}: {error}"
            continue
        if "error" in answer:
            raise ValueError(str(answer["error"]))
        found.append(answer)
    if not found:
        raise NobodyThere(trouble or f"no worker answers in {folder}: the proxy does not run")
    return found


def _ask(path: str, question: Mapping[str, Any]) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(path.encode("latin-1"))
        sock.sendall(json.dumps(question).encode() + b"\n")
        pieces: list[bytes] = []
        size = 0
        while piece := sock.recv(1 << 20):
            pieces.append(piece)
            size += len(piece)
            if size > LONGEST_ANSWER:
                raise ValueError("the answer is too long")
    answer = json.loads(b"".join(pieces))
    if not is_answer(answer):
        raise ValueError("the answer is none")
    return dict(answer)
