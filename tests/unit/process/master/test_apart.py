"""What a worker makes does not lie between what it shares with the master."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from penstock.process.master import apart

HOLES = """
from penstock.process.master.apart import set_apart
made = [bytes(length) for length in (30, 60, 200, 400) for _ in range(1500)]
floats = [float(number) for number in range(1500)]
pools = {id(each) // 16384 for each in (*made, *floats)}
del made[::3], floats[::3]
set_apart()
new = [bytes(length) for length in (30, 60, 200, 400) for _ in range(100)] + [float(number) for number in range(100)]
print(sum(id(each) // 16384 in pools for each in new))
"""


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="another has another allocator")
@pytest.mark.skipif(not 0x030A0000 <= sys.hexversion < 0x030F0000, reason="pools may be of another size")
def test_no_hole_is_left_between_what_there_is() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) < 10


HOLES_OF_LIBC = """
import ctypes
from penstock.process.master.apart import set_apart
lib = ctypes.PyDLL(None)
lib.malloc.restype, lib.malloc.argtypes, lib.free.argtypes = ctypes.c_void_p, (ctypes.c_size_t,), (ctypes.c_void_p,)
def make(count):
    return [lib.malloc(size) for size in (40, 130, 450) for _ in range(count)]
made = make(900)
pages = {block // 4096 for block in made}
for block in made[::3]:
    lib.free(block)
set_apart()
print(sum(block // 4096 in pages for block in make(100)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another has another allocator")
@pytest.mark.skipif("LD_PRELOAD" in os.environ, reason="it may be another's allocator")
def test_nor_between_what_the_c_library_has() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES_OF_LIBC], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) < 10


def test_nothing_is_kept_of_an_allocator_that_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: set[int] = set()

    class Malloc:
        number = 0

        def __call__(self, size: int) -> int:
            self.number += 1000
            taken.add(self.number)
            return self.number

    class Free:
        def __call__(self, block: int) -> None:
            taken.remove(block)

    monkeypatch.setattr(apart.ctypes, "PyDLL", lambda name: SimpleNamespace(malloc=Malloc(), free=Free()))
    apart._fill_larger()
    assert not taken
