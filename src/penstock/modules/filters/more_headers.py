"""Headers set, cleared and added, of answers and of requests (the headers-more module by others, as its page has it).

    more_set_headers [-t types] [-s statuses] [-a] 'Name: value' ...;     more_clear_headers ... 'X-Hidden-*';
    more_set_input_headers [-t types] [-r] 'Name: value' ...;             more_clear_input_headers ... Name;

What a level says adds up with what stands above it, outer lines first. `add_header` comes behind all this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from penstock.config.kinds import custom
from penstock.config.registry import HTTP_LEVELS, IF_LOCATION
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directives, phase
from penstock.config.tree import Word
from penstock.config.variables import Template
from penstock.http.host import split_host
from penstock.http.request import Answer, Outcome, Request
from penstock.modules.core.line_values import one_line_of
from penstock.plan import phases

WHERE = HTTP_LEVELS | IF_LOCATION
FRAMING = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})
"""Headers that say where a message ends, and what becomes of its connection: nobody else's to write."""
OF_REQUESTS = FRAMING | {"expect", "http2-settings", "te", "upgrade"}
OF_UPGRADES = frozenset({"upgrade", "sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-protocol"})
"""What a 101 is made of."""
_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII).fullmatch
OPTIONS = {"more_set_headers": "sta", "more_clear_headers": "st", "more_set_input_headers": "tra"}


@dataclass(frozen=True, slots=True)
class HeaderChange:
    """One header of one line. `name` in small letters, with wildcards where it is cleared; no `value` clears it.

    `types` and `statuses` limit it to such messages; none to all. `appends`: what is there stays. `replaces`: only
    where there is one already.
    """

    spelled: str
    name: str
    value: Template | None
    types: frozenset[str]
    statuses: frozenset[int]
    appends: bool
    replaces: bool

    def fits(self, content_type: str | None, status: int) -> bool:
        """Return whether a message is of such a type and status."""
        if self.statuses and status not in self.statuses:
            return False
        return not self.types or (content_type or "").partition(";")[0].strip().lower() in self.types

    def names(self, name: str) -> bool:
        """Return whether a header, in small letters, is meant."""
        return name == self.name or ("*" in self.name and fnmatchcase(name, self.name))


def _changes(call: Call) -> tuple[HeaderChange, ...]:
    known = OPTIONS.get(call.name, "t")
    types: set[str] = set()
    statuses: set[int] = set()
    flags: set[str] = set()
    names: list[Word] = []
    words = iter(call.args)
    for word in words:
        if not word.text.startswith("-") or len(word.text) != 2:
            names.append(word)
        elif word.text[1] not in known:
            hint = f"it may be: {', '.join('-' + each for each in known)}"
            raise call.fail(f'invalid option "{word.text}"', word, hint=hint)
        elif word.text in ("-t", "-s"):
            given = next(words, None)
            if given is None:
                raise call.fail(f"{word.text} needs a value", word)
            if word.text == "-t":
                types.update(given.text.lower().split())
            else:
                statuses.update(_statuses(call, given))
        else:
            flags.add(word.text)
    if not names:
        raise call.fail("no header is named", hint="write for example: 'X-Name: value'")
    limits = frozenset(types), frozenset(statuses)
    return tuple(_change(call, word, *limits, flags) for word in names)


def _statuses(call: Call, word: Word) -> Iterator[int]:
    for text in word.text.split():
        if not (text.isascii() and text.isdecimal() and 100 <= int(text) <= 999):
            raise call.fail(f'invalid status "{text}"', word)
        yield int(text)


def _change(
    call: Call, word: Word, types: frozenset[str], statuses: frozenset[int], flags: set[str]
) -> HeaderChange:
    sets = "_set_" in call.name
    name, _, text = word.text.partition(":")
    name, text = name.strip(), text.strip()
    if _token(name) is None:
        raise call.fail(f'"{name}" can not be the name of a header', word)
    lower = name.lower()
    if lower in (OF_REQUESTS if "input" in call.name else FRAMING):
        call.compilation.problems.warn(
            f'"{call.name}" leaves {name} as it is', word.span, hint="it is made anew for each message; take it out"
        )
    value = one_line_of(call, text, word.span, f"{call.name} {name}") if sets and text else None
    return HeaderChange(name, lower, value, types, statuses, "-a" in flags, "-r" in flags)


class MoreHeaders(Settings):
    """Headers of answers and of requests, changed."""

    answers: tuple[tuple[HeaderChange, ...], ...] = directives(
        "more_set_headers",
        "more_clear_headers",
        where=WHERE,
        takes=custom(_changes, most=None, syntax="[-t types] [-s statuses] [-a] 'name: value' ..."),
        nginx="https://github.com/openresty/headers-more-nginx-module",
        doc="Lines add up with those of the levels above. Headers that `add_header` gives come later and stay.",
    )
    requests: tuple[tuple[HeaderChange, ...], ...] = directives(
        "more_set_input_headers",
        "more_clear_input_headers",
        where=WHERE,
        takes=custom(_changes, most=None, syntax="[-t types] [-r] [-a] 'name: value' ..."),
        nginx="https://github.com/openresty/headers-more-nginx-module",
        doc="The request as all that follows sees it: access rules, backends, logs.",
    )

    def finish(self, scope: Scope) -> None:
        """Join what levels above change with what this one does, the outermost first; headers that frame a message
        stay."""
        own = scope.own.get(MoreHeaders, {})
        above = scope.parent.settings(MoreHeaders) if scope.parent is not None else None
        if above is not None:
            if own.get("answers"):
                self.answers = (*above.answers, *self.answers)
            if own.get("requests"):
                self.requests = (*above.requests, *self.requests)
        self.of_answers = tuple(each for line in self.answers for each in line if each.name not in FRAMING)
        self.of_requests = tuple(each for line in self.requests for each in line if each.name not in OF_REQUESTS)

    @phase(phases.PREACCESS, when=lambda self: self.of_requests)
    def change_request(self, request: Request) -> Outcome:
        """Change the headers of a request. The head is this request's own, its headers may be those of others."""
        head = request.head
        headers = head.headers
        for each in self.of_requests:
            if not each.fits(head.fields.get("content-type"), 0):
                continue
            there = any(each.names(name.lower()) for name, _ in headers)
            if each.replaces and not there:
                continue
            value = None if each.value is None else each.value.evaluate(request)
            if not each.appends:
                headers = [pair for pair in headers if not each.names(pair[0].lower())]
            if value:
                headers = [*headers, (each.spelled, value)]
                host = split_host(value) if each.name == "host" else None
                if host is not None:
                    head.host, head.port = host
                    request.host = head.host
        if headers is not head.headers:
            head.give(headers)
        return None

    @phase(phases.HEADERS, when=lambda self: self.of_answers)
    def change_answer(self, request: Request, answer: Answer) -> None:
        """Change the headers of an answer, before its head is written."""
        for each in self.of_answers:
            if not each.fits(answer.content_type, answer.status):
                continue
            value = "" if each.value is None else each.value.evaluate(request)
            if not each.appends:
                _clear(answer, each)
            if value:
                _set(answer, each, value)


def _clear(answer: Answer, change: HeaderChange) -> None:
    for name in ("content-type", "last-modified", "location", "etag"):
        if change.names(name):
            setattr(answer, name.replace("-", "_"), None)
    if change.names("content-type"):
        answer.charset = None
    if change.names("accept-ranges"):
        answer.allow_ranges = False
    if change.names("server"):
        answer.says_server = True
    if change.names("date"):
        answer.says_date = True
    kept = OF_UPGRADES if answer.upgraded is not None else frozenset[str]()
    answer.headers = [
        pair for pair in answer.headers if pair[0].lower() in kept or not change.names(pair[0].lower())
    ]


def _set(answer: Answer, change: HeaderChange, value: str) -> None:
    match change.name:
        case "content-type":
            answer.content_type, answer.charset = value, None
        case "last-modified":
            answer.last_modified = value
        case "location":
            answer.location = value
        case name if name in OF_UPGRADES and answer.upgraded is not None:
            return
        case _:
            answer.headers.append((change.spelled, value))
