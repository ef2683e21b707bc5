"""Quotes of a word processor, which are letters to nginx."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.config.tree import Directive, Word
from penstock.doctor.finding import WARNING, Finding, Fix
from penstock.doctor.repair.edits import replaced
from penstock.doctor.rule import Rule
from penstock.doctor.site.site import Site

_MARKS = tuple(
    mark.encode().decode("latin-1")
    for mark in "\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}\N{DOUBLE LOW-9 QUOTATION MARK}"
    "\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}\N{SINGLE LOW-9 QUOTATION MARK}"
    "\N{LEFT-POINTING DOUBLE ANGLE QUOTATION MARK}\N{RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK}"
    "\N{DOUBLE HIGH-REVERSED-9 QUOTATION MARK}\N{DOUBLE PRIME}"
)
"""As the bytes of UTF-8, which is how a configuration is read."""


def typographic(directive: Directive) -> list[Word]:
    """Find the arguments that begin or end with such a mark, and stand in no real quotes."""
    return [each for each in directive.args if not each.quoted and _bare(each.text) != each.text]


def _bare(text: str) -> str:
    """A word without the marks at its ends."""
    for mark in _MARKS:
        text = text.removeprefix(mark).removesuffix(mark)
    return text


def marks(site: Site) -> Iterator[Finding]:
    """Say where a value holds them."""
    for level in site.main.walk():
        for each in level.items:
            words = typographic(each)
            if not words:
                continue
            first, last = words[0], words[-1]
            text = " ".join(word.text for word in each.args if first.span.start <= word.span.start <= last.span.start)
            meant = _bare(text)
            yield Finding(
                "typographic-quotes",
                WARNING,
                f'the quotes of {text} are letters here, and go into the value of "{each.name.text}"',
                first.span,
                label='only " and \' are quotes',
                advice=f'write: "{meant}"',
                fix=_straight(words, each) if '"' not in meant and "\\" not in meant else None,
            )


def _straight(words: list[Word], directive: Directive) -> Fix | None:
    source, start, end = words[0].span.source, words[0].span.start, words[-1].span.end
    text = source.text[start:end]
    if "\n" in text or any(word.span.source is not source for word in directive.args):
        return None
    if len(words) == 1:
        return Fix("write straight quotes", (replaced(words[0], f'"{_bare(words[0].text)}"'),))
    edits = [replaced(words[0], '"' + _bare(words[0].text)), replaced(words[-1], _bare(words[-1].text) + '"')]
    return Fix("write straight quotes", tuple(edits))


RULES = (Rule("typographic-quotes", WARNING, "quotes of a word processor are part of the value", marks),)
