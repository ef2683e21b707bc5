"""Cases: what a client sends, and what the backend answers, read from `cases/AREA.cases`; README.md has the format."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from differential.probes import probes_of
from differential.spelling import unspelled

DIRECTORY = Path(__file__).parent / "cases"
REQUESTS = Path(__file__).parents[1] / "corpus" / "requests"
CORPUS = "corpus"
PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class Step:
    """One thing done on a connection: `verb` is "send" or a word after `>`."""

    verb: str
    data: bytes = b""
    seconds: float = 0.0


CLIENT_VERBS = {"to", "pause", "answer", "half-close", "close", "reset", "hello"}
BACKEND_VERBS = {"pause", "close", "reset", "tunnel", "hold", "read", "end"}


@dataclass(slots=True)
class Case:
    """One connection of a client. `backend` has the steps for the first request that reaches it, the second, ...

    Where it has none the backend answers 200 and closes; the last ones serve all that follow.
    """

    area: str
    name: str
    about: str
    port: str = "front"
    client: list[Step] = field(default_factory=list)
    backend: list[list[Step]] = field(default_factory=list)

    @property
    def id(self) -> str:
        return f"{self.area}/{self.name}"

    @property
    def sent(self) -> bytes:
        """All that the client sends."""
        return b"".join(step.data for step in self.client)


@dataclass(frozen=True, slots=True)
class Area:
    """Cases that share a configuration."""

    name: str
    configuration: str
    cases: tuple[Case, ...]

    @property
    def streams(self) -> bool:
        """Whether bytes are passed on as they are: then nothing is looked at as HTTP."""
        return "\nstream {" in self.configuration


def areas() -> list[str]:
    """The names of all areas."""
    return sorted(path.stem for path in DIRECTORY.glob("*.conf"))


def load(name: str) -> Area:
    """An area and its cases; `ValueError` naming the line that is wrong."""
    configuration = (DIRECTORY / f"{name}.conf").read_text("utf-8")
    if name == CORPUS:
        return Area(name, configuration, tuple(_of_corpus()))
    if (DIRECTORY / f"{name}.probes").exists():
        return Area(name, configuration, tuple(probes(name)))
    text = (DIRECTORY / f"{name}.cases").read_text("ascii")
    return Area(name, configuration, tuple(_parse(name, text)))


def probes(area: str) -> list[Case]:
    """The questions of `probes.py`, for each line of `AREA.probes`."""
    cases = []
    for line in (DIRECTORY / f"{area}.probes").read_text("ascii").splitlines():
        if line and not line.startswith("#"):
            port, host, target, *others = line.split()
            for name, sent, answered in probes_of(host, target, others):
                client = [Step("send", sent)]
                backend = [] if answered is None else [[Step("send", answered)]]
                if answered is not None and answered.startswith(b"HTTP/1.1 101 "):
                    client += [Step("answer"), Step("send", b"ping")]
                    backend[0].append(Step("tunnel"))
                cases.append(Case(area, f"{port}-{name}", "", port, client, backend))
    return cases


def _of_corpus() -> list[Case]:
    """The requests that also stand without a proxy in tests/corpus, where they need no options."""
    cases = []
    for path in sorted(REQUESTS.glob("*/*.http")):
        if "options" not in json.loads(path.with_suffix(".json").read_text("utf-8")):
            sent = unspelled(path.read_text("ascii").replace("\n", ""))
            cases.append(Case(CORPUS, f"{path.parent.name}-{path.stem}", "", client=[Step("send", sent)]))
    return cases


def _parse(area: str, text: str) -> list[Case]:
    cases: list[Case] = []
    names: set[str] = set()
    backend = False
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        try:
            if line.startswith("== "):
                name, _, about = line[3:].partition(":")
                if name in names:
                    raise ValueError(f"a second case called {name}")
                names.add(name)
                cases.append(Case(area, name, about.strip()))
                backend = False
            elif line == "-- backend":
                backend = True
                cases[-1].backend.append([])
            elif backend:
                cases[-1].backend[-1].append(_step(line, BACKEND_VERBS))
            else:
                step = _step(line, CLIENT_VERBS)
                if step.verb == "to":
                    cases[-1].port = step.data.decode("ascii")
                else:
                    _append(cases[-1].client, step)
        except (ValueError, KeyError, IndexError) as error:
            raise ValueError(f"{area}.cases:{number}: {error!r}") from error
    return cases


def _step(line: str, verbs: set[str]) -> Step:
    if not line.startswith("> "):
        return Step("send", unspelled(line))
    verb, _, argument = line[2:].partition(" ")
    if verb not in verbs:
        raise ValueError(f"{verb!r} is none of {sorted(verbs)}")
    if verb in ("to", "hello"):
        return Step(verb, argument.encode("ascii"))
    return Step(verb, b"", float(argument) if argument else PAUSE)


def _append(steps: list[Step], step: Step) -> None:
    """Lines of bytes without a step between them go out in one piece."""
    if step.verb == "send" and steps and steps[-1].verb == "send":
        steps[-1] = Step("send", steps[-1].data + step.data)
    else:
        steps.append(step)
