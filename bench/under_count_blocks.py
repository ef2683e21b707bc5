"""Runs a Python program with its blocks of memory counted: `python under_count_blocks.py COUNTER FILE PROGRAM [...]`.

COUNTER is `count_blocks.c`, compiled; FILE is where the two numbers stand.
"""

import ctypes
import runpy
import sys


def main() -> None:
    counter, output, program, *arguments = sys.argv[1:]
    if ctypes.PyDLL(counter).count_blocks(output.encode()):
        sys.exit(f"blocks can not be counted in {output}")
    sys.argv = [program, *arguments]
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
