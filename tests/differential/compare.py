"""How what two proxies did differs."""

from dataclasses import dataclass

from differential.observe import Message, Observation
from differential.spelling import spelled

ANSWERS = "answers"
_LONG = 400


@dataclass(frozen=True, slots=True)
class Difference:
    """`what` names the place as known.toml does; `nginx` and `penstock` are for a person, and for "answers"."""

    what: str
    nginx: str
    penstock: str

    def __str__(self) -> str:
        left, right = _around(self.nginx, self.penstock)
        return f"{self.what}\n    nginx:    {left}\n    penstock: {right}"


def differences(nginx: Observation, penstock: Observation) -> list[Difference]:
    """All differences; where already the statuses, the end or what was passed on differ, only that."""
    if nginx.answers != penstock.answers:
        return [Difference(ANSWERS, nginx.answers, penstock.answers)]
    found: list[Difference] = []
    for one, other in zip(nginx.responses, penstock.responses, strict=True):
        found += _of_messages("", one, other)
    if nginx.rest != penstock.rest:
        found.append(Difference("bytes", spelled(nginx.rest), spelled(penstock.rest)))
    for one, other in zip(nginx.passed, penstock.passed, strict=True):
        found += _of_messages("passed ", one, other)
    if len(nginx.log) != len(penstock.log):
        found.append(Difference("log lines", repr(nginx.log), repr(penstock.log)))
    else:
        for line, other_line in zip(nginx.log, penstock.log, strict=True):
            found += _of_lines(line, other_line)
    return found


def _of_messages(where: str, one: Message, other: Message) -> list[Difference]:
    found: list[Difference] = []

    def note(what: str, left: str, right: str) -> None:
        if left != right:
            found.append(Difference(where + what, left, right))

    note("line", one.line, other.line)
    names = list(dict.fromkeys(name for name, _ in one.headers + other.headers))
    for name in names:
        left, right = ([value for key, value in message.headers if key == name] for message in (one, other))
        note(f"header {name}", repr(left), repr(right))
    order, other_order = [name for name, _ in one.headers], [name for name, _ in other.headers]
    if sorted(order) == sorted(other_order):
        note("header order", ", ".join(order), ", ".join(other_order))
    note("framing", one.framing, other.framing)
    note("body", spelled(one.body), spelled(other.body))
    note("completeness", *("whole" if message.complete else "cut short" for message in (one, other)))
    return found


def _of_lines(one: str, other: str) -> list[Difference]:
    """Two lines of the log: the combined part is called "log", what follows by its names."""
    left, right = one.split("\t"), other.split("\t")
    return [
        Difference(f"log {field.partition('=')[0]}" if at else "log", field, other_field)
        for at, (field, other_field) in enumerate(zip(left, right, strict=True))
        if field != other_field
    ]


def _around(one: str, other: str) -> tuple[str, str]:
    """Of long texts the part in which they differ."""
    if max(len(one), len(other)) < _LONG:
        return one, other
    same = next((at for at, (left, right) in enumerate(zip(one, other, strict=False)) if left != right), 0)
    start = max(same - _LONG // 4, 0)
    mark = "..." if start else ""
    return mark + one[start : start + _LONG], mark + other[start : start + _LONG]
