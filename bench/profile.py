"""Where Penstock's time goes in one scenario: a table of functions, and a flame graph for speedscope.app.

    python bench/profile.py SCENARIO [--seconds N] [--cprofile]

Samples the worker with py-spy where that is installed (`pip install py-spy`; it may need root). Otherwise, or
with --cprofile, Penstock runs as one process under cProfile, which counts each call but makes Python's own calls
look dearer than they are. Time in the kernel counts for the function that called it.
"""

import argparse
import json
import os
import pstats
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import load
import meters
import proxies
import report
import rounds
from scenarios import SCENARIOS, Traffic, find

_OUT = Path(__file__).with_name("out")
_RATE = 500
_MANY = 20_000_000
_SHOWN = 40
_COUNTED = "calls.prof"
_COUNTER = Path(__file__).with_name("under_cprofile.py")
_LINE = re.compile(r":\d+\)$")


def main() -> int:
    options = _options()
    scenario = find(options.scenario)
    assert isinstance(scenario, Traffic)
    proxies.raise_descriptor_limit()
    sampler = None if options.cprofile else shutil.which("py-spy", path=_path())
    _OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="penstock-profile-") as name:
        directory = Path(name)
        try:
            _drive(scenario, options.seconds, directory, sampler)
        except (load.CannotBuild, load.LoadFailed, proxies.NotInstalled, proxies.DidNotStart) as why:
            print(f"profile: {why}", file=sys.stderr)
            return 1
        if sampler is not None:
            return _show_samples(scenario, directory / "stacks")
        return _show_cprofile(directory / _COUNTED)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Where Penstock's time goes in one scenario.")
    names = [scenario.name for scenario in SCENARIOS if isinstance(scenario, Traffic)]
    parser.add_argument("scenario", choices=names, metavar="SCENARIO", help=", ".join(names))
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--cprofile", action="store_true", help="count calls with cProfile, in one process")
    return parser.parse_args()


def _path() -> str:
    """Programs of the running Python's environment first."""
    return f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"


def _drive(scenario: Traffic, seconds: int, directory: Path, sampler: str | None) -> None:
    """The scenario against Penstock for some seconds; prints what a transaction cost."""
    peer = proxies.fitted(proxies.find("penstock"), scenario)
    if sampler is None:
        # -P, or this very file would be the standard library's `profile`.
        interpreter, *script = proxies.interpreted(peer.program)
        program = (interpreter, "-P", str(_COUNTER), str(directory / _COUNTED), *script)
        peer = replace(peer, program=program, arguments=(*peer.arguments, "-g", "master_process off;"))
    with ExitStack() as stack:
        loadgen = load.build(directory)
        values = proxies.certificate(directory)
        values |= load.ports_of(load.behind(stack, loadgen, values))
        proxy = stack.enter_context(proxies.Proxy(peer, directory / "penstock", values))
        client = stack.enter_context(
            rounds.driving(scenario, proxy, loadgen, warmup=scenario.warmup, count=_MANY, seconds=seconds)
        )
        client.ready()
        if sampler is not None:
            stack.enter_context(_sampling(sampler, proxy.worker(), seconds, directory / "stacks"))
        processes = proxy.processes()
        before = meters.user_and_kernel(processes)
        result = client.go()
        user, kernel = (
            (after - earlier) / result.count * 1e6
            for after, earlier in zip(meters.user_and_kernel(processes), before, strict=True)
        )
    print(f"{scenario.title}: {result.count:,} transactions, {user + kernel:.1f} us CPU for each")
    print(f"({user:.1f} in user space, {kernel:.1f} in the kernel; profiling included)\n")


def _sampling(sampler: str, pid: int, seconds: int, output: Path) -> subprocess.Popen[bytes]:
    """py-spy beside the worker for as long as the client runs; leaving the `with` block waits for it."""
    command = [sampler, "record", "--pid", str(pid), "--duration", str(seconds), "--rate", str(_RATE)]
    command += ["--format", "raw", "--output", str(output)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _show_samples(scenario: Traffic, stacks: Path) -> int:
    if not stacks.exists():
        print("profile: py-spy wrote nothing: it may need root, or CAP_SYS_PTRACE", file=sys.stderr)
        return 1
    samples = [
        (entry.rpartition(" ")[0].split(";"), int(entry.rpartition(" ")[2]))
        for entry in stacks.read_text().splitlines()
    ]
    by_function = [([_LINE.sub(")", frame) for frame in frames], weight) for frames, weight in samples]
    print(report.aligned(_shares("function", by_function, _SHOWN)), end="\n\n")
    print(report.aligned(_shares("line", samples, _SHOWN // 2)))
    output = _OUT / f"{scenario.name}.speedscope.json"
    output.write_text(json.dumps(_speedscope(scenario.title, samples)))
    everything = sum(weight for _, weight in samples)
    print(f"\n{everything:,} samples; flame graph: drop {output} onto https://www.speedscope.app")
    return 0


def _shares(what: str, samples: list[tuple[list[str], int]], shown: int) -> list[list[str]]:
    """The frames that were at the top of the stack most often, with their shares of all samples."""
    alone: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for frames, weight in samples:
        alone[frames[-1]] += weight
        for frame in set(frames):
            within[frame] += weight
    everything = alone.total()
    most = sorted(within, key=lambda frame: (-alone[frame], -within[frame]))[:shown]
    shares = [[frame, f"{alone[frame] / everything:.1%}", f"{within[frame] / everything:.1%}"] for frame in most]
    return [[what, "alone", "with what it calls"], *shares]


def _speedscope(title: str, samples: list[tuple[list[str], int]]) -> dict[str, object]:
    """Stacks in speedscope's file format."""
    names = sorted({frame for frames, _ in samples for frame in frames})
    numbers = {name: number for number, name in enumerate(names)}
    profile = {
        "type": "sampled",
        "name": title,
        "unit": "none",
        "startValue": 0,
        "endValue": sum(weight for _, weight in samples),
        "samples": [[numbers[frame] for frame in frames] for frames, _ in samples],
        "weights": [weight for _, weight in samples],
    }
    return {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "shared": {"frames": [{"name": name} for name in names]},
        "profiles": [profile],
    }


def _show_cprofile(counted: Path) -> int:
    if not counted.exists():
        print("profile: Penstock wrote no profile: it did not end in order", file=sys.stderr)
        return 1
    pstats.Stats(str(counted)).sort_stats("tottime").print_stats(_SHOWN)
    return 0


if __name__ == "__main__":
    sys.exit(main())
