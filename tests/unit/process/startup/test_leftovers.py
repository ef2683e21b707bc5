"""What a start leaves behind is given back, and importing goes on all the same."""

import subprocess
import sys

SCRIPT = """
import sys
from penstock.process.startup.leftovers import drop_leftovers

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])

waste = [bytes(1000) for _ in range(20_000)]
pinned = bytes(1000)
before = resident()
del waste
drop_leftovers()
assert not sys.path_importer_cache
import colorsys
print(before - resident())
"""


def test_freed_memory_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) * 4096 > 10_000_000  # of 20 MB
