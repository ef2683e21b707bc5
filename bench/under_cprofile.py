"""Runs a Python program under cProfile: `python under_cprofile.py OUTPUT PROGRAM [ARGUMENT ...]`.

The program must end by itself, or by a signal that it handles, for OUTPUT to be written.
"""

import cProfile
import runpy
import sys


def main() -> None:
    output, program, *arguments = sys.argv[1:]
    sys.argv = [program, *arguments]
    profile = cProfile.Profile()
    try:
        profile.runcall(runpy.run_path, program, run_name="__main__")
    finally:
        profile.dump_stats(output)


if __name__ == "__main__":
    main()
