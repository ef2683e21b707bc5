"""The handshakes that `penstock check` tries: as `penstock explain` does, for each location that is for WebSockets."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from penstock.cli.check.pieces import elsewhere, stand_in
from penstock.cli.explain.explain import Explainer
from penstock.cli.reading import Read, certificates, read
from penstock.config.source import Span
from penstock.doctor.attempt import Rehearse, TriedHandshake
from penstock.doctor.problems import of_the_machine
from penstock.process.startup.launch import Launch
from penstock.server.dry_run import watched

_ROUNDS = 5


def rehearser(launch: Launch, texts: Mapping[str, str], found: Read) -> Rehearse:
    """Make what tries handshakes in this configuration. It can not where that is not accepted, for reasons other than a
    file that is not here or a name that another file may know. Nothing is read again before the first is tried."""
    made: list[Explainer | None] = []

    def rehearse(location: Span, target: str, over: Callable[[str], bool] | None = None) -> TriedHandshake | None:
        if not made:
            completed = complete(launch, texts, found)
            made.append(None if completed is None else Explainer(completed))
        return None if made[0] is None else made[0].attempt(location, target, over)

    return rehearse


def complete(launch: Launch, texts: Mapping[str, str], found: Read) -> Read | None:
    """Read a configuration again, with something in place of all that is missing; None where it is not accepted."""
    texts = {**{each.path: each.text for each in found.sources}, **texts}
    absent = certificates(found.tree, launch) | {"/absent.crt", "/absent.key"}
    lines: list[str] = []
    with watched():
        for _ in range(_ROUNDS):
            serious = [each for each in found.problems if each.level == "emerg"]
            missing = [each for each in serious if found.piece and elsewhere(each)]
            if len(missing) < sum(not of_the_machine(each) for each in serious):
                return None
            lines += [each for each in dict.fromkeys(map(stand_in, missing)) if each not in lines]
            found = read(launch, texts, absent, forgiving=True, stand_ins=lines)
            if found.plan is not None:
                return found
    return None
