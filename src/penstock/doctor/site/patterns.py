"""Where a configuration has regular expressions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from penstock.config.regex.backtracking import Risk
from penstock.config.regex.pcre import risk
from penstock.config.tree import Directive, Word

_LISTS = frozenset({"server_name", "valid_referers", "websocket_origins"})
"""Each word that begins with `~` is one."""
_CASELESS = ("_cookie_domain", "_cookie_flags")
"""Ends of the names of those in which letters have no case, as in all of `_LISTS`."""
_FIRST = ("_redirect", "_cookie_domain", "_cookie_path", "_cookie_flags")
"""Ends of names, as `proxy_redirect`: the first word is one if it begins with `~`."""
_OPERATORS = frozenset({"~", "~*", "!~", "!~*"})
_WHOLE = {"rewrite": slice(0, 1), "gzip_disable": slice(None), "fastcgi_split_path_info": slice(None)}
"""Words that are patterns without a mark."""


class Pattern(NamedTuple):
    """A pattern without its mark, and the word that it stands in."""

    word: Word
    text: str
    caseless: bool
    path: bool = False
    """It meets a path, which is decoded: there may be newlines in it."""

    @property
    def risk(self) -> Risk:
        """Return how long matching can take."""
        return risk(self.text, caseless=self.caseless, lines=self.path)


def patterns(tree: tuple[Directive, ...]) -> Iterator[Pattern]:
    """Return all patterns, in the order of the file."""
    for directive in tree:
        yield from _own(directive)
        if directive.block is None:
            continue
        if directive.name.text == "map":
            yield from (found for line in directive.block for found in _marked(line.name))
        else:
            yield from patterns(directive.block)


def _own(directive: Directive) -> Iterator[Pattern]:
    name, args = directive.name.text, directive.args
    if name in _WHOLE:
        path = name != "gzip_disable"
        yield from (Pattern(word, word.text, not path, path) for word in args[_WHOLE[name]])
    elif name in _LISTS:
        for word in args:
            yield from _marked(word, caseless=True)
    elif name.endswith(_FIRST):
        for word in args[:1]:
            yield from _marked(word, caseless=name.endswith(_CASELESS))
    elif name == "location" and len(args) == 1:
        yield from (found._replace(path=True) for found in _marked(args[0]))
    elif name in ("location", "if"):
        for operator, word in pairwise(args):
            if operator.text in _OPERATORS:
                text = word.text
                if name == "if" and word is args[-1]:
                    text = text.removesuffix(")")
                yield Pattern(word, text, operator.text.endswith("*"), name == "location")


def _marked(word: Word, *, caseless: bool = False) -> Iterator[Pattern]:
    for mark in ("~*", "~"):
        if word.text.startswith(mark):
            yield Pattern(word, word.text[len(mark) :], caseless or mark == "~*")
            return
