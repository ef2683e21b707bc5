"""Regular expressions as nginx writes them (PCRE) -> Python's `re`.

The two languages differ in spelling more than in power. A pattern is read item by item and written again in
Python's spelling, flags included: only `i` is left to Python, and `(?i)` in mid-pattern becomes `(?i:...)`
around what follows it. What `re` cannot express (recursion, conditions, branch reset, verbs) is refused.

Text is latin-1 `str`, so that `.` is a byte as in nginx.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from penstock.config.regex.escapes import BeyondPython, PcreError, escaped_character
from penstock.config.regex.properties import property_body
from penstock.config.regex.sets import HORIZONTAL, VERTICAL, translate_set

_DEEPEST = 200
_MOST_REPEATS = 65535


@dataclass(frozen=True, slots=True)
class _Flags:
    i: bool = False
    m: bool = False
    s: bool = False
    x: bool = False
    n: bool = False
    U: bool = False


class _Group:
    """An open parenthesis: how to end it and how to part its branches in Python's spelling."""

    __slots__ = ("base", "between", "close", "flags", "offset", "wrapped")

    def __init__(self, flags: _Flags, offset: int, close: str = ")", between: str = "|") -> None:
        self.base = flags
        self.flags = flags
        self.offset = offset
        self.close = close
        self.between = between
        self.wrapped = False


_QUANTIFIER = re.compile(r"\*|\+|\?|\{([0-9]+)(?:(,)([0-9]*))?\}", re.ASCII)
_NAMED = re.compile(r"\?(?:P?<([A-Za-z_]\w*)>|'([A-Za-z_]\w*)')", re.ASCII)
_NAMED_BACK = re.compile(r"(?:<([A-Za-z_]\w*)>|'([A-Za-z_]\w*)'|\{([A-Za-z_]\w*)\})", re.ASCII)
_NUMBER_BACK = re.compile(r"(-?[0-9]+)|\{(-?[0-9]+)\}", re.ASCII)
_NUMBER = re.compile(r"[0-9]+", re.ASCII)
_FLAGS = re.compile(r"\?(\^?)([a-zA-Z]*)(?:(-)([a-zA-Z]*))?([:)])", re.ASCII)
_CALL = re.compile(r"\?(?:R|[+-]?[0-9]+|&\w+|P>\w+)\)", re.ASCII)

_BLANK = frozenset(" \t\n\v\f\r#")
_SAME = frozenset("dDwWsS")
_ANCHORS = {
    "A": "\\A",
    "b": "\\b",
    "B": "(?!\\b)",  # Python's own does not match in an empty text
    "z": "\\Z",
    "Z": "(?=\\n?\\Z)",
}
_ITEMS = {
    "h": f"[{HORIZONTAL}]",
    "H": f"[^{HORIZONTAL}]",
    "v": f"[{VERTICAL}]",
    "V": f"[^{VERTICAL}]",
    "R": f"(?>\\r\\n|[{VERTICAL}])",
    "N": "[^\\n]",
    "C": "(?s:.)",
}
_OPENERS = {
    "?:": ("(?:", ")", "|"),
    "?>": ("(?>", ")", "|"),
    "?=": ("(?=", ")", "|"),
    "?!": ("(?!", ")", "|"),
    # Each branch of a lookbehind has its own width in PCRE; Python wants one width for all of them.
    "?<=": ("(?:(?<=", "))", ")|(?<="),
    "?<!": ("(?:(?<!", "))", ")(?<!"),
}


def translate(pattern: str, caseless: bool) -> str:
    """Return Python's spelling of a pattern. Raises `PcreError`."""
    return _Translator(pattern, caseless).translate()


class _Translator:
    """A reader of `pattern` from `at` on, which writes Python's spelling to `out`."""

    def __init__(self, pattern: str, caseless: bool) -> None:
        self.pattern = pattern
        self.at = 0
        self.out: list[str] = []
        self.stack = [_Group(_Flags(i=caseless), 0)]
        self.captures = 0
        self.literal = False
        self.repeatable = False

    def translate(self) -> str:
        pattern = self.pattern
        while self.at < len(pattern):
            char = pattern[self.at]
            if pattern.startswith("\\E", self.at):
                self.literal = False
                self.at += 2
            elif self.literal:
                self._put(re.escape(char))
            elif char == "\\":
                self._escape()
            elif char == "[":
                text, end = translate_set(pattern, self.at)
                self._put(text, end - self.at)
            elif char == "(":
                self._open()
            elif char in "*+?{":
                self._quantifier()
            elif self._flags.x and char in _BLANK:
                self._skip_blank()
            else:
                self._character(char)
        if len(self.stack) > 1:
            raise PcreError("missing closing parenthesis", self.stack[-1].offset)
        self._unwrap(self.stack[0])
        return "".join(self.out)

    @property
    def _flags(self) -> _Flags:
        return self.stack[-1].flags

    def _put(self, text: str, length: int = 1) -> None:
        """Writes an item that may be repeated, read from `length` characters."""
        self.out.append(text)
        self.at += length
        self.repeatable = True

    def _put_once(self, text: str, length: int = 1) -> None:
        """Writes what cannot be repeated: an anchor, the start of a group, a quantifier."""
        self._put(text, length)
        self.repeatable = False

    def _character(self, char: str) -> None:
        match char:
            case ")":
                self._close()
            case "|":
                self._branch()
            case "." if self._flags.s:
                self._put("(?s:.)")
            case "$" if self._flags.m:
                self._put_once("(?m:$)")
            case "^" if self._flags.m:
                # Unlike Python's, PCRE's ^ does not match after a newline that ends the text.
                self._put_once("(?:\\A|(?<=\\n)(?!\\Z))")
            case "$" | "^":
                self._put_once(char)
            case ".":
                self._put(char)
            case _:
                self._put(re.escape(char))

    def _skip_blank(self) -> None:
        if self.pattern[self.at] == "#":
            newline = self.pattern.find("\n", self.at)
            self.at = newline + 1 if newline >= 0 else len(self.pattern)
        else:
            self.at += 1

    def _skip_comment(self) -> None:
        end = self.pattern.find(")", self.at)
        if end < 0:
            raise PcreError("missing ) after (?# comment", self.at)
        self.at = end + 1

    # Groups

    def _open(self) -> None:
        start = self.at
        if len(self.stack) > _DEEPEST:
            raise PcreError("parentheses are nested too deeply", start)
        if not self.pattern.startswith(("?", "*"), start + 1):
            if self._flags.n:
                self._enter("(?:", 1)
            else:
                self.captures += 1
                self._enter("(", 1)
            return
        if self.pattern.startswith("*", start + 1):
            raise BeyondPython("a verb such as (*UTF8) is not supported", start)
        for opener, (spelling, close, between) in _OPENERS.items():
            if self.pattern.startswith(opener, start + 1):
                self._enter(spelling, 1 + len(opener), close, between)
                return
        if named := _NAMED.match(self.pattern, start + 1):
            self.captures += 1
            self._enter(f"(?P<{named[1] or named[2]}>", named.end() - start)
        elif self.pattern.startswith("?#", start + 1):
            self._skip_comment()
        elif self.pattern.startswith("?P=", start + 1):
            end = self.pattern.find(")", start)
            self._named_back(self.pattern[start + 4 : end], end + 1)
        elif _CALL.match(self.pattern, start + 1):
            raise BeyondPython("recursion is not supported", start)
        elif flags := _FLAGS.match(self.pattern, start + 1):
            self._set_flags(flags)
        else:
            raise BeyondPython(self._refused_group(start), start)

    def _refused_group(self, start: int) -> str:
        known = {"?|": "branch reset (?|", "?(": "a condition (?(", "?C": "a callout (?C"}
        construct = known.get(self.pattern[start + 1 : start + 3])
        return f"{construct} is not supported" if construct else "unrecognized character after (?"

    def _enter(self, spelling: str, length: int, close: str = ")", between: str = "|") -> None:
        self.stack.append(_Group(self._flags, self.at, close, between))
        self._put_once(spelling, length)

    def _close(self) -> None:
        if len(self.stack) == 1:
            raise PcreError("unmatched closing parenthesis", self.at)
        group = self.stack.pop()
        self._unwrap(group)
        self._put(group.close)

    def _branch(self) -> None:
        group = self.stack[-1]
        self._unwrap(group)
        self._put_once(group.between)
        self._wrap(group)

    def _set_flags(self, match: re.Match[str]) -> None:
        start = self.at
        reset, on, _, off, end = match.groups()
        flags = _Flags(U=self._flags.U) if reset else self._flags  # (?^ leaves U alone)
        for letters, value in ((on, True), (off or "", False)):
            for letter in letters:
                if letter not in "imsxnU" or "xx" in letters:
                    raise BeyondPython(f'the option "{letter}" of (? is not supported', start)
                flags = replace(flags, **{letter: value})
        length = match.end() - start
        if end == ":":
            spelling = "(?:" if flags.i == self._flags.i else "(?i:" if flags.i else "(?-i:"
            self.stack.append(_Group(flags, start))
            self._put_once(spelling, length)
            return
        group = self.stack[-1]
        self._unwrap(group)
        group.flags = flags
        self._wrap(group)
        self.at += length
        self.repeatable = False

    def _wrap(self, group: _Group) -> None:
        if group.flags.i != group.base.i:
            group.wrapped = True
            self.out.append("(?i:" if group.flags.i else "(?-i:")

    def _unwrap(self, group: _Group) -> None:
        if group.wrapped:
            group.wrapped = False
            self.out.append(")")

    # Repetition

    def _quantifier(self) -> None:
        match = _QUANTIFIER.match(self.pattern, self.at)
        if match is None:
            self._put("\\{")
            return
        if not self.repeatable:
            raise PcreError("quantifier does not follow a repeatable item", self.at)
        least, comma, most = match.groups()
        spelling = match[0]
        if least is not None:
            if max(int(least[:6]), int((most or "0")[:6])) > _MOST_REPEATS:
                raise PcreError("number too big in {} quantifier", self.at)
            if most and int(least) > int(most):
                raise PcreError("numbers out of order in {} quantifier", self.at)
            spelling = f"{{{int(least)}{comma or ''}{int(most) if most else ''}}}"
        self.at += len(match[0])
        self._skip_ignored()
        following = self.pattern[self.at : self.at + 1]
        lazy = (following == "?") != self._flags.U
        manner = "+" if following == "+" else "?" if lazy else ""
        self._put_once(spelling + manner, 1 if following and following in "+?" else 0)

    def _skip_ignored(self) -> None:
        """Comments, `\\E` and the blanks of `(?x)` may stand between a quantifier and its `+` or `?`."""
        while True:
            start = self.at
            if self.pattern.startswith("\\E", start):
                self.at += 2
            elif self.pattern.startswith("(?#", start):
                self._skip_comment()
            elif self._flags.x and self.pattern[start : start + 1] in _BLANK:
                self._skip_blank()
            if self.at == start:
                return

    # Escapes

    def _escape(self) -> None:
        start = self.at
        char = self.pattern[start + 1 : start + 2]
        if char == "Q":
            self.literal = True
            self.at += 2
        elif char and char in _SAME:
            self._put("\\" + char, 2)
        elif char in _ANCHORS:
            self._put_once(_ANCHORS[char], 2)
        elif char in _ITEMS:
            brace = char == "N" and self.pattern.startswith("{", start + 2)
            if brace and not _QUANTIFIER.match(self.pattern, start + 2):
                raise BeyondPython("\\N{...}, a character by its name, is not supported", start)
            self._put(_ITEMS[char], 2)
        elif char and char in "pP":
            body, end = property_body(self.pattern, start)
            self._put(f"[{body}]" if body else "(?!)", end - start)
        elif char and char in "gk123456789":
            self._back_reference(char)
        else:
            self._escaped_character()

    def _escaped_character(self) -> None:
        char, end = escaped_character(self.pattern, self.at)
        self._put(re.escape(char), end - self.at)

    def _back_reference(self, char: str) -> None:
        start = self.at
        if char in "123456789":
            digits = _NUMBER.match(self.pattern, start + 1)
            assert digits is not None  # the caller saw the first of them
            number = int(digits[0][:4])
            if number > max(9, self.captures) and char not in "89":
                self._escaped_character()
            else:
                self._numbered_back(number, digits.end())
            return
        if char == "g" and (number_back := _NUMBER_BACK.match(self.pattern, start + 2)):
            number = int((number_back[1] or number_back[2])[:5])
            self._numbered_back(number if number >= 0 else self.captures + 1 + number, number_back.end())
            return
        named = _NAMED_BACK.match(self.pattern, start + 2)
        if named is None:
            raise PcreError(f"\\{char} is not followed by a name or number", start)
        if char == "g" and named[3] is None:
            raise BeyondPython("recursion is not supported", start)
        self._named_back(named[1] or named[2] or named[3], named.end())

    def _numbered_back(self, number: int, end: int) -> None:
        if not 1 <= number <= min(self.captures, 99):
            raise BeyondPython("reference to a group that does not exist yet is not supported", self.at)
        self._put(f"(?:\\{number})", end - self.at)

    def _named_back(self, name: str, end: int) -> None:
        if f"(?P<{name}>" not in self.out:
            raise BeyondPython(f'reference to the group "{name}", which does not exist yet', self.at)
        self._put(f"(?P={name})", end - self.at)
