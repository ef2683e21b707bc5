"""The benchmark's load generator, for tests that need more messages than Python can send."""

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

BENCH = Path(__file__).parents[2] / "bench"


def missing() -> str | None:
    """Why it can not be built, or None."""
    if not any(map(shutil.which, ("cc", "gcc", "clang"))) or not sys.platform.startswith("linux"):
        return "loadgen takes a C compiler and Linux"
    return None


def load() -> ModuleType:
    """The module bench/load.py, which is in no package: `build`, `Backend`, `Client`."""
    spec = importlib.util.spec_from_file_location("bench_load", BENCH / "load.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
