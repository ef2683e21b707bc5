"""Text replaced in answers: `sub_filter` (nginx: ngx_http_sub_module).

Of the texts that begin first in the body the one that was written first is replaced, whatever the case of its letters.
What may be the beginning of one at the end of a piece waits for the next piece, and nothing else does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from penstock.config.kinds import custom, flag
from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directive, directives, phase
from penstock.config.variables import Template
from penstock.http.request import Answer, Request
from penstock.modules.filters.media_types import listed, types_directive
from penstock.modules.filters.transform import PIECE, transform
from penstock.plan import phases

PAGE = "ngx_http_sub_module.html"


@dataclass(frozen=True, slots=True)
class Substitution:
    """What to look for, and what to put in its place."""

    text: Template
    replacement: Template


def _substitution(call: Call) -> Substitution:
    text, replacement = call.args
    if not text.text:
        raise call.fail("empty search pattern", text)
    return Substitution(call.template(text), call.template(replacement))


class SubFilter(Settings):
    """None is inherited once a level has one of its own."""

    substitutions: tuple[Substitution, ...] = directives(
        "sub_filter",
        where=HTTP_LEVELS,
        takes=custom(_substitution, least=2, most=2, syntax="string replacement"),
        nginx=PAGE,
    )
    types: frozenset[str] = types_directive("sub_filter_types", PAGE)
    once: bool = directive("sub_filter_once", where=HTTP_LEVELS, takes=flag, default=True, nginx=PAGE)
    last_modified: bool = directive(
        "sub_filter_last_modified", where=HTTP_LEVELS, takes=flag, default=False, nginx=PAGE
    )

    def finish(self, scope: Scope) -> None:
        """Compile the texts to look for, where none of them has variables."""
        texts = [each.text.literal for each in self.substitutions]
        self.fixed: Texts | None = None
        if all(text is not None for text in texts):
            self.fixed = Texts([(text or "").encode("latin-1") for text in texts])

    @phase(phases.HEADERS, when=lambda self: self.substitutions)
    def substitute(self, request: Request, answer: Answer) -> None:
        """Replace what is looked for in the body."""
        if answer.length == 0 or answer.upgraded is not None or not listed(self.types, answer):
            return
        wanted = self.substitutions
        texts = self.fixed
        if texts is None:
            found = [(each.text.evaluate(request).encode("latin-1"), each) for each in wanted]
            wanted = tuple(each for text, each in found if text)
            texts = Texts([text for text, _ in found if text])
        if not wanted:
            return
        stage = Replacing(request, texts, [each.replacement for each in wanted], once=self.once)
        transform(request, answer, stage)
        if not self.last_modified:
            answer.last_modified = answer.etag = answer.modified_at = None


class Texts:
    """Texts to look for. `search` finds the first in a piece; its group's number is the text's place in the list."""

    __slots__ = ("longest", "lowered", "search")

    def __init__(self, texts: list[bytes]) -> None:
        self.lowered = [text.lower() for text in texts]
        self.longest = max(map(len, texts), default=0)
        self.search = re.compile(b"|".join(b"(%b)" % re.escape(text) for text in texts), re.IGNORECASE).search

    def begun(self, data: bytes, start: int) -> tuple[int, int]:
        """Return where at the end of `data` a text may begin, and the place of the first that does; else its length."""
        first = max(start, len(data) - self.longest + 1)
        tail = data[first:].lower()
        for at in range(len(tail)):
            end = tail[at:]
            for place, text in enumerate(self.lowered):
                if len(text) > len(end) and text.startswith(end):
                    return first + at, place
        return len(data), 0

    def without(self, place: int) -> Texts:
        """Return all of these texts but one."""
        return Texts(self.lowered[:place] + self.lowered[place + 1 :])


class Replacing:
    """A body in which texts are replaced. With `once` each is looked for until it has been found."""

    __slots__ = ("_held", "_made", "_once", "_replacements", "_request", "_texts")
    swells = False

    def __init__(self, request: Request, texts: Texts, replacements: list[Template], *, once: bool) -> None:
        self._request = request
        self._texts: Texts | None = texts
        self._replacements = replacements
        self._once = once
        self._made: dict[Template, bytes] = {}
        self._held = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Replace in what has come; what could be the beginning of a text waits for the next piece."""
        data = self._held + data
        self._held = b""
        return self._replaced(data, last=False)

    def flush(self) -> Iterable[bytes]:
        """Return nothing: what waits may be the beginning of a text."""
        return ()  # what waits may be the beginning of a text

    def finish(self) -> Iterator[bytes]:
        """Return what waits: it was no text's beginning."""
        data, self._held = self._held, b""
        return self._replaced(data, last=True)

    def _replaced(self, data: bytes, *, last: bool) -> Iterator[bytes]:
        made: list[bytes] = []
        size = at = 0
        end = -1
        while self._texts is not None:
            texts = self._texts
            if at > end:
                end, place = (len(data), 0) if last else texts.begun(data, at)
            found = texts.search(data, at)
            if found is None or (found.start(), (found.lastindex or 1) - 1) > (end, place):
                self._held = data[end:]
                made.append(data[at:end])
                break
            made += (data[at : found.start()], self._replacement((found.lastindex or 1) - 1))
            size += len(made[-1]) + len(made[-2])
            if self._texts is not texts:
                end = -1
            at = found.end()
            if size >= PIECE:
                yield b"".join(made)
                made.clear()
                size = 0
        else:
            made.append(data[at:])
        yield b"".join(made)

    def _replacement(self, place: int) -> bytes:
        template = self._replacements[place]
        made = self._made.get(template)
        if made is None:
            made = self._made[template] = template.evaluate(self._request).encode("latin-1")
        if self._once:
            assert self._texts is not None
            self._replacements = self._replacements[:place] + self._replacements[place + 1 :]
            self._texts = self._texts.without(place) if self._replacements else None
        return made
