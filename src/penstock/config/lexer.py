"""Configuration text -> statements: words up to the `;`, `{` or `}` that ends them.

The rules are nginx's (`ngx_conf_read_token`), including those nobody expects:

- a quote opens only at the start of a word; inside one it is an ordinary character, and so are `#` and `}`;
- after a closing quote only a space, `;`, `{` or `)` may follow;
- `{` right after `$` belongs to the word, so that `${name}` needs no quotes;
- `\\"`, `\\'`, `\\\\`, `\\t`, `\\r`, `\\n` are escapes; before anything else the backslash stays,
  and the character after it never ends the word;
- a word of 4096 bytes or more, the closing quote included, is refused. (nginx refuses such comments, too.
  We do not.)

Mistakes with quotes are reported here and repaired so that the lines after them are read as they were meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from penstock.config.errors import Problems
from penstock.config.source import Source, Span
from penstock.config.tree import Word

LONGEST = 4096

# White space and comments, and the token behind them: an end, a word in quotes, a quote that opens none, a plain word
# (ngx_conf_read_token). Possessive, so that a file is read in one pass, whatever stands in it.
_TOKEN = re.compile(
    r"""
    [ \t\r\n]*+ (?: \# [^\n]*+ [ \t\r\n]*+ )*+
    (?:
        ([;{}])
      | "( [^"\\]*+ (?: \\. [^"\\]*+ )*+ )" (?= [ \t\r\n;{)] | \Z )
      | '( [^'\\]*+ (?: \\. [^'\\]*+ )*+ )' (?= [ \t\r\n;{)] | \Z )
      | (["'])
      | ( [^ \t\r\n;{\\$]*+ (?: (?: \\. | \$\{*+ ) [^ \t\r\n;{\\$]*+ )*+ \\?+ )
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_END, _DOUBLE, _SINGLE, _ODD, _PLAIN = 1, 2, 3, 4, 5

_BYTE_ORDER_MARK = "\xef\xbb\xbf"

# OpenResty's blocks of Lua. They are refused by name later on; their insides must not be read as directives.
_LUA = "_by_lua_block"
_LUA_TOKEN = re.compile(
    r"""
    --\[(=*)\[.*?\]\1\] | --[^\n]* | \[(=*)\[.*?\]\2\]
    | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | [{}]
    """,
    re.VERBOSE | re.DOTALL,
)

_QUOTED = {
    '"': re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL),
    "'": re.compile(r"'([^'\\]*+(?:\\.[^'\\]*+)*+)'", re.DOTALL),
}
_CHARACTER = re.compile(r"[\xc2-\xf4][\x80-\xbf]+|.", re.DOTALL)  # of UTF-8, if it is that
_ESCAPE = re.compile(r"\\([\"'\\trn])")
_ESCAPED = {'"': '"', "'": "'", "\\": "\\", "t": "\t", "r": "\r", "n": "\n"}


class Statement(NamedTuple):
    """The words of a statement and what ended them: `;`, `{`, `}`, or "" at the end of the text; `at` says where that
    is."""

    words: list[Word]
    end: str
    at: int


def statements(source: Source, problems: Problems) -> Iterator[Statement]:
    """Read a whole source; the last statement ends with "" and is there even when it has no words."""
    text = source.text
    words: list[Word] = []
    resume: int | None = _after_byte_order_mark(source, problems)
    while resume is not None:
        start, resume = resume, None
        for match in _TOKEN.finditer(text, start):
            kind = match.lastindex
            if kind == _END:
                at = match.start(_END)
                yield Statement(words, text[at], at)
                if text[at] == "{" and words and words[0].text.endswith(_LUA):
                    resume = _end_of_lua(text, at + 1)
                words = []
                if resume is not None:
                    break
                continue
            if kind == _ODD:
                word, resume = _odd_quote(source, match.start(_ODD), problems)
                words.append(word)
                break
            assert kind is not None  # the last alternative matches anything, even nothing
            begin, end = match.span(kind)
            if begin == end and kind == _PLAIN:
                break
            word_text = match[kind]
            if "\\" in word_text:
                word_text = _ESCAPE.sub(_unescape, word_text)
            if end - begin + (kind != _PLAIN) >= LONGEST:
                _too_long(source, begin, end, kind, problems)
            if kind == _PLAIN:
                words.append(Word(word_text, Span(source, begin, end), False))
            else:
                words.append(Word(word_text, Span(source, begin - 1, end + 1), True))
    yield Statement(words, "", len(text))


def _after_byte_order_mark(source: Source, problems: Problems) -> int:
    if not source.text.startswith(_BYTE_ORDER_MARK):
        return 0
    end = len(_BYTE_ORDER_MARK)
    problems.error(
        "unexpected byte order mark",
        Span(source, 0, end),
        hint="save the file as UTF-8 without a byte order mark",
    )
    return end


def _end_of_lua(text: str, start: int) -> int:
    """Find where the `}` of a Lua block stands, or the end of the text."""
    depth = 1
    for match in _LUA_TOKEN.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    return len(text)


def _unescape(match: re.Match[str]) -> str:
    return _ESCAPED[match[1]]


def _too_long(source: Source, begin: int, end: int, kind: int, problems: Problems) -> None:
    if kind == _PLAIN:
        started = source.text[begin : begin + 10]
        problems.error(f'too long parameter "{started}..." started', Span(source, begin, end))
        return
    quote = source.text[begin - 1]
    problems.error(
        f'too long parameter, probably missing terminating "{quote}" character',
        Span(source, begin - 1, end + 1),
        label="this quote opens it",
    )


def _odd_quote(source: Source, at: int, problems: Problems) -> tuple[Word, int]:
    """Report a quoted word that does not end well: it never ends, or something sticks to its closing quote."""
    text = source.text
    quote = text[at]
    match = _QUOTED[quote].match(text, at)
    if match is None:
        return _unclosed(source, at, problems)
    end = match.end()
    if "\n" in match[1] and _line_end(text, at + 1)[1]:
        # It swallowed the end of its own line, so that the quote which "closed" it was to open another.
        return _unclosed(source, at, problems)
    word = Word(_ESCAPE.sub(_unescape, match[1]), Span(source, at, end), True)
    if text[end] != "}":  # there the missing ";" is the thing to report, and the parser does
        stuck = _CHARACTER.match(text, end)
        assert stuck is not None  # some character stands there
        problems.error(
            f'unexpected "{stuck[0]}"',
            Span(source, end, stuck.end()),
            label="sticks to the quote before it",
            hint=f'after a closing {quote} only a space, ";" or "{{" may follow',
        )
    return word, end


def _unclosed(source: Source, at: int, problems: Problems) -> tuple[Word, int]:
    """Report a quote nobody closes, and take it to end with its line."""
    text = source.text
    quote = text[at]
    stop, _ = _line_end(text, at + 1)
    problems.error(
        f'missing terminating "{quote}" character',
        Span(source, at, stop),
        label="opens here and is not closed",
        hint=f"close it with {quote} in front of the end of the line",
    )
    return Word(text[at + 1 : stop], Span(source, at, stop), True), stop


def _line_end(text: str, offset: int) -> tuple[int, bool]:
    """Find where the words of this line end, and whether a `;` or `{` (and perhaps a comment) follows them."""
    newline = text.find("\n", offset)
    line = text[offset : newline if newline >= 0 else len(text)].rstrip(" \t\r")
    before_comment = line[: line.rfind("#")].rstrip(" \t") if "#" in line else line
    for candidate in (line, before_comment):
        if candidate.endswith((";", "{")):
            return offset + len(candidate[:-1].rstrip(" \t")), True
    return offset + len(line), False
