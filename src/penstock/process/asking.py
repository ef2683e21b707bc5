"""Asking all workers of a running proxy, from another process: what `penstock tunnels` stands on."""

from __future__ import annotations

import json
import os
import socket
from base64 import b64decode
from collections.abc import Mapping
from typing import TYPE_CHECKING

from penstock.http.errors import excerpt
from penstock.modules.fleet.channel import read_answers
from penstock.observe.ask_workers import is_answer
from penstock.process.worker.control import paths_in

if TYPE_CHECKING:
    from penstock.observe.selection import ToldTunnels

PATIENCE = 10.0
LONGEST_ANSWER = 256 << 20
MOST_WORDS = 5
"""Refusals of other machines that are told, where there are several."""


class NobodyThere(Exception):
    """No worker could be asked; the text says why and what to look at."""


def ask_workers(folder: str, question: Mapping[str, object]) -> list[ToldTunnels]:
    """Ask each worker, and return what they answer. Raises `NobodyThere`, and `ValueError` with a worker's words for a
    bad question."""
    try:
        paths = paths_in(folder)
    except FileNotFoundError:
        words = f"there is no folder {folder}: does the proxy run, and is its control_socket elsewhere?"
        raise NobodyThere(words) from None
    except OSError as error:
        raise NobodyThere(f"{folder} can not be read: {os.strerror(error.errno or 0)}") from None
    found: list[ToldTunnels] = []
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


class Refusal(Exception):
    """Raised for something that a worker refused to do; the text says why. Nothing has been changed."""


def ask_one(folder: str, question: Mapping[str, object]) -> ToldTunnels:
    """Ask the first worker that answers, which does it for all. Raises `NobodyThere`, and `Refusal`."""
    try:
        paths = paths_in(folder)
    except OSError:
        paths = []
    for path in reversed(paths):
        try:
            answer = _ask(path, question)
        except (ConnectionRefusedError, FileNotFoundError):
            continue
        except (OSError, ValueError) as error:
            raise NobodyThere(f"{path}: {error}") from None
        if "error" in answer:
            raise Refusal(str(answer["error"]))
        return answer
    raise NobodyThere(f"no worker answers in {folder}: the proxy does not run")


def ask_fleet(folder: str, question: Mapping[str, object]) -> ToldTunnels:
    """Ask all machines of the fleet, by way of one worker of this one. `answers` of what is returned are those of the
    workers, `silent` is how many gave none. Raises `NobodyThere`, and `Refusal`."""
    told = ask_one(folder, {"do": "fleet", "ask": question})
    if "packed" not in told:
        return told  # a worker of an older version reads the answers itself
    answers = read_answers(map(b64decode, told["packed"]))
    refused = sorted({str(answer["error"]) for answer in answers if "error" in answer})
    kept = [answer for answer in answers if "error" not in answer and is_answer(answer)]
    if refused and not kept:
        raise Refusal("; ".join(excerpt(words) for words in refused[:MOST_WORDS]))
    return {
        "pid": told["pid"],
        "open": sum(answer["open"] for answer in kept),
        "matched": sum(answer["matched"] for answer in kept),
        "answers": kept,
        "machines": told["machines"],
        "silent": told["asked"] - len(kept),
    }


def _ask(path: str, question: Mapping[str, object]) -> ToldTunnels:
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
