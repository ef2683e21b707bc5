"""What a worker makes does not lie between what it shares with the master."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
