"""What becomes of a request and why, as facts: gathered by a rehearsal (`server/dry_run.py`), told here.

A `Place` is a line of the configuration; where there is none, what is in force is a default.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from penstock.config.source import Span, shown

Paint = Callable[[str, str], str]


@dataclass(slots=True)
class ExplainedChoice:
    """Something that was chosen, why, and `losers`: what might have been, and why not."""

    name: str
    why: str
    span: Span | None = None
    losers: list[ExplainedChoice] = field(default_factory=list)


@dataclass(slots=True)
class ExplainedStep:
    """One thing that happened on the way, in the order of the phases."""

    phase: str
    text: str
    span: Span | None = None


@dataclass(slots=True)
class Header:
    """A header of the request as the backend gets it, or (`left_out` says why) as it does not."""

    name: str
    value: str
    origin: str
    span: Span | None = None
    left_out: str = ""


@dataclass(slots=True)
class Setting:
    """A value in force, what it is for, and where it was written (None: the default)."""

    name: str
    value: str
    meaning: str
    span: Span | None = None


@dataclass(slots=True)
class ExplainedBackend:
    """Where the request goes: `uri` as the backend sees it, `policy` how one of the peers is chosen; `hidden` are the
    headers of its answer, in lower case, that the configuration keeps from the client."""

    module: str
    target: str
    line: str
    uri: str
    group: str
    policy: str
    peers: list[str]
    secure: bool
    headers: list[Header]
    left_out: list[Header]
    timeouts: list[Setting]
    span: Span | None = None
    group_span: Span | None = None
    hidden: list[str] = field(default_factory=list)


@dataclass(slots=True)
class WebSocketVerdict:
    """Whether a WebSocket gets through. `why` it does or not; `ends`: what would end it once it is open."""

    survives: bool
    why: list[str]
    ends: list[str]


@dataclass(slots=True)
class ExplainedObstacle:
    """Something that leads a request off the straight way."""

    text: str
    span: Span | None = None


@dataclass(slots=True)
class ExplainedWay:
    """Which way a request takes to its backend. `name` is "straight" or "general"; `why` is what keeps it off the
    straight one, `later` what may do so further on."""

    name: str
    why: list[ExplainedObstacle]
    later: list[ExplainedObstacle]


@dataclass(slots=True)
class Explanation:
    """All of it. `answer` is what this server answers by itself, None where a backend does; then there is a `way`."""

    request: str
    listener: ExplainedChoice
    server: ExplainedChoice | None = None
    steps: list[ExplainedStep] = field(default_factory=list)
    location: ExplainedChoice | None = None
    uri: str = ""
    args: str = ""
    backend: ExplainedBackend | None = None
    answer: str | None = None
    websocket: WebSocketVerdict | None = None
    log: list[str] = field(default_factory=list)
    way: ExplainedWay | None = None


def as_json(told: Explanation) -> str:
    """Write it as one object; its keys are documented in docs/cli.md."""
    return json.dumps({"version": 1, **_plain(told)}, indent=2) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Span):
        return {"file": shown(value.file), "line": value.line, "column": value.column}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, str):
        return shown(value)
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value


def as_text(told: Explanation, paint: Paint) -> str:
    """Write it for a person, from the top of the way to its end."""
    lines = [paint("bold", shown(told.request)), ""]
    lines += _choice("listener", told.listener, paint)
    if told.server is not None:
        lines += _choice("server", told.server, paint)
    before, after = _around_location(told)
    lines += _steps(before, paint)
    if told.location is not None:
        lines += _choice("location", told.location, paint)
    lines += _steps(after, paint)
    if told.backend is not None:
        lines += _backend(told.backend, paint)
    if told.way is not None:
        lines += _way(told.way, paint)
    if told.answer is not None:
        lines.append(f"{paint('cyan', 'answer')}    {shown(told.answer)}")
    if told.websocket is not None:
        lines += ["", *_verdict(told.websocket, paint)]
    if told.log:
        lines += ["", "the error log would say:", *(f"    {shown(each)}" for each in told.log)]
    return "\n".join(lines) + "\n"


def _at(span: Span | None) -> str:
    return "" if span is None else f"  ({shown(span.file)}:{span.line})"


def _choice(title: str, choice: ExplainedChoice, paint: Paint) -> list[str]:
    lines = [f"{paint('cyan', title.ljust(9))} {paint('bold', shown(choice.name))}{_at(choice.span)}"]
    lines.append(f"          {shown(choice.why)}")
    for each in choice.losers:
        lost = f"not {shown(each.name)}: {shown(each.why)}{_at(each.span)}"
        lines.append(f"          {paint('dim', lost)}")
    return lines


def _around_location(told: Explanation) -> tuple[list[ExplainedStep], list[ExplainedStep]]:
    """The steps up to the choice of the location, and those in it. A search that found it is told of with it."""
    steps, location = told.steps, told.location
    last = max((place for place, step in enumerate(steps) if step.phase == "search"), default=-1)
    if last < 0 or location is None or steps[last].span != location.span:
        return steps, []
    return steps[:last], steps[last + 1 :]


def _steps(steps: list[ExplainedStep], paint: Paint) -> list[str]:
    lines, before = [], ""
    for step in steps:
        title = step.phase if step.phase != before else ""
        before = step.phase
        lines.append(f"{paint('cyan', title.ljust(9))} {shown(step.text)}{_at(step.span)}")
    return lines


def _backend(backend: ExplainedBackend, paint: Paint) -> list[str]:
    lines = [f"{paint('cyan', 'backend')}   {paint('bold', shown(backend.target))}{_at(backend.span)}"]
    group = f'upstream "{backend.group}"' if backend.group_span is not None else backend.group
    lines.append(f"          {shown(group)}, {shown(backend.policy)}{_at(backend.group_span)}")
    lines += [f"          - {shown(each)}" for each in backend.peers]
    lines.append(f"{paint('cyan', 'request')}   {paint('bold', shown(backend.line))}")
    widest = min(max((len(each.name) + len(each.value) for each in backend.headers), default=0) + 2, 60)
    for each in backend.headers:
        text = f"{each.name}: {each.value}"
        lines.append(f"          {shown(text).ljust(widest)}  {paint('dim', f'{each.origin}{_at(each.span)}')}")
    for each in backend.left_out:
        lines.append(f"          {paint('dim', f'no {shown(each.name)}: {each.left_out}{_at(each.span)}')}")
    lines.append(paint("cyan", "timeouts"))
    for setting in backend.timeouts:
        where = _at(setting.span) or "  (default)"
        lines.append(f"          {setting.name} {setting.value}: {setting.meaning}{paint('dim', where)}")
    return lines


def _way(way: ExplainedWay, paint: Paint) -> list[str]:
    words = "straight" if way.name == "straight" else "general, since"
    lines = [f"{paint('cyan', 'way')}       {words}"]
    lines += [f"          - {shown(each.text)}{_at(each.span)}" for each in way.why]
    if way.name == "straight":
        lines += [f"          {paint('dim', shown(each.text) + _at(each.span))}" for each in way.later]
    return lines


def _verdict(verdict: WebSocketVerdict, paint: Paint) -> list[str]:
    word = paint("green", "gets through") if verdict.survives else paint("red", "does not get through")
    lines = [f"a WebSocket {word}:"]
    lines += [f"    - {shown(each)}" for each in verdict.why]
    if verdict.ends:
        lines += ["it ends when", *(f"    - {shown(each)}" for each in verdict.ends)]
    return lines
