"""Memory that is free goes back to the system where the C library can be told to."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from penstock.shared import freed

HOLES = """
import ctypes
from penstock.shared.freed import give_back_freed
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
lib = ctypes.PyDLL(None)
lib.malloc.restype, lib.malloc.argtypes, lib.free.argtypes = ctypes.c_void_p, (ctypes.c_size_t,), (ctypes.c_void_p,)
made = [lib.malloc(60000) for _ in range(200)]
for block in made:
    ctypes.memset(block, 1, 60000)
for block in made[:-1]:
    lib.free(block)
before = resident()
give_back_freed()
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another has another allocator")
def test_it_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) > 10_000_000


def test_where_nobody_can_be_told_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    freed._trim.cache_clear()
    monkeypatch.setattr(freed.ctypes, "CDLL", lambda name: object())
    freed.give_back_freed()
    freed._trim.cache_clear()
