"""What only CPython's collector can do is done there, and missed nowhere else."""

from __future__ import annotations

import gc
import subprocess
import sys

from harness.binary import Binary
from harness.proxy import Proxy, in_http
from harness.waiting import eventually
from penstock.process import collector

ELSEWHERE = """
import gc, sys
for name in ("freeze", "unfreeze", "set_threshold", "get_threshold"):
    delattr(gc, name)
del sys.getallocatedblocks
from penstock.cli.main import main
sys.exit(main())
"""
SITE = in_http("server { listen 127.0.0.1:{port:front}; location / { return 200 NUMBER; } }")


def test_what_is_set_aside_comes_back() -> None:
    before = gc.get_freeze_count()
    collector.set_aside()
    assert gc.get_freeze_count() > before
    collector.bring_back()
    assert gc.get_freeze_count() == 0 and collector.blocks() > 0


def test_workers_serve_and_reload_without_it() -> None:
    """As an interpreter that has nothing of the kind. A plan out of force is freed all the same."""
    binary = Binary((sys.executable, "-c", ELSEWHERE))
    assert subprocess.run([*binary.command, "-v"], capture_output=True, timeout=60, check=False).returncode == 0
    with Proxy("worker_processes 2;" + SITE.replace("NUMBER", "one"), binary) as front:
        assert front.get("/").text == "one"
        front.reload("worker_processes 2;" + SITE.replace("NUMBER", "two"))
        eventually(lambda: front.get("/").text == "two")
