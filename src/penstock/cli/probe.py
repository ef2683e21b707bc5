"""`penstock probe`: a WebSocket looked at from outside."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from shutil import get_terminal_size
from textwrap import wrap

from penstock.cli.colour import Ink, ink_for
from penstock.cli.parsing import USAGE_ERROR, Parser
from penstock.config.source import shown
from penstock.config.values import seconds
from penstock.doctor.probe.compare import compare
from penstock.doctor.probe.probe import Probe
from penstock.doctor.probe.result import SAME_HOST, ProbeOptions, Result
from penstock.doctor.probe.steps import Exit, ProbeStep, Say, StepVerdict, safe, time_shown
from penstock.doctor.probe.target import ProbeTarget, parse_target

EXITS = (
    "0  everything that was looked at works (warnings do not count, unless --strict)",
    "1  with --strict: it works, and something is worth a look",
    "2  the command line makes no sense",
    "3  the name has no address",
    "4  no connection: refused, or silence",
    "5  TLS, or the certificate",
    "6  the handshake is not answered as it should be",
    "7  the WebSocket opens, and then fails: no pong, a broken protocol, cut while silent",
)


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)


def parser() -> Parser:
    made = Parser(
        "probe",
        "Look at a WebSocket from outside, as a client sees it: name, connection, certificate, handshake, ping, echo,\n"
        "silence. It says what is wrong, who answered, and what to do.",
        examples=(
            ("penstock probe wss://example.com/ws", "does it work?"),
            ("penstock probe wss://example.com/ws --idle 90s", "does it survive a minute and a half of silence?"),
            ("penstock probe ws://localhost:3000/ws --via wss://example.com", "the backend, or the proxy before it?"),
            ("penstock probe localhost:3000/ws --origin https://evil.example", "may a page of another site connect?"),
        ),
        exits=EXITS,
    )
    made.add_argument("url", metavar="URL", help="ws://, wss://, http:// or https://; ws:// if it is left out")
    made.add_argument("-v", "--verbose", action="store_true", help="show the request and the answer")
    made.add_argument("--json", action="store_true", help="print one JSON object")
    made.add_argument("--idle", metavar="TIME", default="0", help="then send nothing for so long (90s): is it closed?")
    ways = made.add_mutually_exclusive_group()
    ways.add_argument("--via", metavar="URL", help="test this proxy too, and say which of the two fails")
    ways.add_argument("--direct", metavar="URL", help="the same, but URL is the proxy and this is the backend")
    made.add_argument("-H", "--header", metavar="'NAME: VALUE'", action="append", default=[], help="send this, too")
    made.add_argument("--origin", metavar="URL", help="what Origin says: a page's, or none (default: the same host's)")
    made.add_argument("--protocol", metavar="NAMES", help="offer these subprotocols, commas between")
    made.add_argument("--no-compression", action="store_true", help="do not offer permessage-deflate")
    made.add_argument("--no-echo", action="store_true", help="send no message, only pings")
    made.add_argument("--http2", action="store_true", help="ask for the WebSocket inside HTTP/2, as browsers may")
    made.add_argument("--insecure", action="store_true", help="name what is wrong with a certificate, and go on")
    made.add_argument("--cafile", metavar="FILE", help="trust the authorities in this PEM file, not the system's")
    made.add_argument("--cert", metavar="FILE", help="show this certificate (PEM) to a server that asks for one")
    made.add_argument("--key", metavar="FILE", help="and this is its key, unless it is in the same file")
    made.add_argument("--at", metavar="HOST", help="connect to this host, whatever DNS says; ask for the URL's")
    made.add_argument("--days", metavar="N", type=int, default=14, help="warn of a certificate that ends within (14)")
    made.add_argument("--timeout", metavar="TIME", default="10s", help="for each step (10s)")
    made.add_argument("--strict", action="store_true", help="exit with 1 if there are warnings")
    made.add_argument("--colour", "--color", choices=("auto", "always", "never"), default="auto")
    return made


def run(arguments: Sequence[str]) -> int:
    reader = parser()
    given = reader.parse_args(list(arguments))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options = ProbeOptions(
            timeout=_seconds(given.timeout),
            idle=_seconds(given.idle),
            origin=SAME_HOST if given.origin is None else None if given.origin == "none" else given.origin,
            protocols=given.protocol,
            headers=tuple(_header(each) for each in given.header),
            compression=not given.no_compression,
            echo=not given.no_echo,
            insecure=given.insecure,
            trusted=_path(given.cafile),
            certificate=_path(given.cert),
            key=_path(given.key),
            address=None if given.at is None else parse_target(shown(given.at)).host,
            days=given.days,
            http2=given.http2,
        )
        asked = parse_target(shown(given.url))
        targets = [asked]
        if given.via is not None:
            targets.append(parse_target(shown(given.via), asked))
        elif given.direct is not None:
            targets.insert(0, parse_target(shown(given.direct), asked))
        for text in (given.origin, given.protocol):
            if text is not None and not text.isprintable():
                raise ValueError("a header's value must not have control characters")
        if options.timeout <= 0:
            raise ValueError("--timeout must be more than nothing")
    except ValueError as error:
        reader.error(str(error))
    screen = Screen(ink_for(sys.stdout, given.colour), verbose=given.verbose, quiet=given.json)
    try:
        return _probe(targets, options, screen, strict=given.strict)
    except OSError as error:
        files = [each for each in (given.cafile, given.cert, given.key) if each is not None]
        if not files:
            raise
        sys.stderr.write(f"penstock probe: {shown(', '.join(files))}: {error.strerror or error}\n")
        return USAGE_ERROR


def _probe(targets: list[ProbeTarget], options: ProbeOptions, screen: Screen, *, strict: bool) -> int:
    results: list[Result] = []
    names = ("directly", "through the proxy") if len(targets) > 1 else ("",)
    for target, name in zip(targets, names, strict=True):
        screen.title(target, name)
        # Backends seldom speak HTTP/2: the proxy before them is asked so.
        how = replace(options, http2=options.http2 and (len(targets) == 1 or bool(results)))
        results.append(Probe(target, how, screen.say).run())
    verdict = None
    if len(results) > 1:
        verdict = compare(*results)
        screen.title(None, "")
        screen.say(verdict)
    code = int(results[-1].exit)
    steps = [step for result in results for step in result.steps] + ([verdict] if verdict else [])
    if not code and strict and any(step.verdict is StepVerdict.WARN for step in steps):
        code = int(Exit.WARNED)
    if screen.quiet:
        found = results[0].as_json()
        if verdict is not None:
            found = {"direct": found, "via": results[1].as_json(), "verdict": verdict.as_json()}
        print(json.dumps(found | {"exit": code}, indent=2))
    return code


class Screen:
    """Shows steps to a person as they become known; nothing while `quiet`."""

    def __init__(self, ink: Ink, *, verbose: bool, quiet: bool) -> None:
        self.quiet = quiet
        self._ink = ink
        self._verbose = verbose
        self._begun = False
        self._width = min(get_terminal_size((110, 24)).columns, 140)
        self.say: Say = self._say

    def title(self, target: ProbeTarget | None, name: str) -> None:
        """Say what comes next."""
        if self.quiet:
            return
        if self._begun:
            print()
        self._begun = True
        if target is not None:
            print(self._ink("bold", safe(target.url, 500)) + (f"  {name}" if name else ""))

    def _say(self, step: ProbeStep) -> None:
        if self.quiet:
            return
        style, word = _MARKS[step.verdict]
        took = "" if step.seconds is None else time_shown(step.seconds)
        summary = self._wrapped(step.summary, _INDENT)
        print(f"  {self._ink(style, f'{word:<4}')}  {step.name:<9} {took:>8}  {summary[0]}")
        for line in summary[1:]:
            print(f"{_INDENT}{line}")
        for line in step.details:
            self._lines("", line)
        for line in step.advice:
            self._lines("-> ", line)
        if self._verbose:
            for sign, lines in (("> ", step.sent), ("< ", step.received)):
                for line in lines:
                    print(f"{_INDENT}{self._ink('dim', sign + line)}")
        sys.stdout.flush()

    def _lines(self, mark: str, text: str) -> None:
        """One remark, as wide as the terminal allows, its mark coloured."""
        hanging = _INDENT + " " * len(mark)
        for number, line in enumerate(self._wrapped(text, hanging)):
            print(f"{hanging}{line}" if number else f"{_INDENT}{self._ink('cyan', mark)}{line}")

    def _wrapped(self, text: str, before: str) -> list[str]:
        room = max(50, self._width - len(before))
        return wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]


_INDENT = " " * 28
_MARKS = {
    StepVerdict.OK: ("green", "ok"),
    StepVerdict.NOTE: ("dim", "note"),
    StepVerdict.WARN: ("yellow", "warn"),
    StepVerdict.FAIL: ("red", "FAIL"),
}


def _seconds(text: str) -> float:
    """A time as in a configuration: `90s`, `2m`, `500ms`; a bare number is seconds."""
    try:
        return seconds(text)
    except ValueError:
        raise ValueError(f'"{shown(text)}" is not a time: write 90s, 2m or 500ms') from None


def _path(text: str | None) -> str | None:
    return None if text is None else os.fsdecode(text.encode("latin-1"))


def _header(text: str) -> tuple[str, str]:
    name, mark, value = text.partition(":")
    value = value.strip()
    if not mark or not _TOKEN.fullmatch(name) or any(char in value for char in "\r\n\0"):
        raise ValueError(f"\"{safe(text)}\" is not a header: write -H 'Name: value' (an empty value takes it away)")
    return name, value
