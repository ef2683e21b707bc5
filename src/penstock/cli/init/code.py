"""Ports in the text of programs and commands: numbers, variables of the environment with what they default to, names.

Nothing is run; what can not be followed by reading alone gives nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

_NUMBER = re.compile(r"(?<![\w.])[1-9](?:_?[0-9]){1,4}(?![\w.])", re.ASCII)
_ENVIRONMENT = re.compile(
    r"(?:process\.env|Bun\.env|import\.meta\.env|environ)\s*(?:\.get\(|\.|\[)\s*[\"']?(\w+)|"
    r"(?:getenv|env\.get|env\.fetch|get_env!?|ENV\.fetch|fetch_env!?|config|env|env\.int)\s*\(\s*[\"'](\w+)[\"']|"
    r"ENV\[\s*[\"'](\w+)[\"']",
    re.ASCII,
)
_NAME = re.compile(r"[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*", re.ASCII)
_GENERIC = r"(?:<[^<>()]{1,200}(?:<[^<>()]{0,200}>[^<>()]{0,200})?>)?"
_QUOTED_PORT = re.compile(r"[\"'](\w*PORT\w*)[\"']", re.ASCII)
_ENVIRONS = ("settings", "env", "environ")
_DEEPEST = 4
_LOWEST, _HIGHEST = 80, 65535


def is_port(number: int) -> bool:
    return _LOWEST <= number <= _HIGHEST


def without_comments(text: str, python: bool) -> str:
    """Return a program without the lines and blocks that are comments."""
    if python:
        return re.sub(r"(?m)^[ \t]*#.*$|(?<=\s)#[ \t].*$", "", text)
    return re.sub(r"(?s:/\*.*?\*/)|(?m:^[ \t]*//[^\n]*$|(?<=\s)//[^\n]*$)", "", text)


def arguments(text: str, call: str) -> Iterator[str]:
    """Return what stands between the parentheses of each call; `call` is a regular expression."""
    for match in re.finditer(rf"(?<![\w$.])(?:{call}){_GENERIC}\s*\(", text, re.ASCII):
        inside = balanced(text, match.end())
        if inside is not None:
            yield inside


def balanced(text: str, start: int) -> str | None:
    """Read up to where the bracket that was opened before is closed; None where it is not."""
    depth, place, end = 0, start, min(len(text), start + 4000)
    while place < end:
        char = text[place]
        if char in "\"'`":
            close = text.find(char, place + 1, end)
            place = end if close < 0 else close
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            if depth == 0:
                return text[start:place]
            depth -= 1
        place += 1
    return None


def pieces(inside: str) -> list[str]:
    """Split the arguments of a call."""
    found, depth, start, place = [], 0, 0, 0
    while place < len(inside):
        char = inside[place]
        if char in "\"'`":
            close = inside.find(char, place + 1)
            place = len(inside) if close < 0 else close
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "," and depth == 0:
            found.append(inside[start:place])
            start = place + 1
        place += 1
    return [each.strip() for each in [*found, inside[start:]] if each.strip()]


class Reader:
    """Follows what an expression of one program comes to, by its own assignments and by the environment that the
    folder sets; `beside` are the other programs and settings of the folder, which are asked for `settings.port`."""

    def __init__(self, text: str, environment: Mapping[str, int], beside: Sequence[str] = ()) -> None:
        self._text = text
        self._environment = environment
        self._beside = beside

    def port(self, expression: str, depth: int = 0) -> int | None:
        """Find the port that an expression comes to."""
        expression = expression.strip()
        if depth > _DEEPEST or not expression:
            return None
        for match in _ENVIRONMENT.finditer(expression):
            name = next(each for each in match.groups() if each is not None)
            if name in self._environment:
                return self._environment[name]
        for match in _QUOTED_PORT.finditer(expression):
            if match[1] in self._environment:
                return self._environment[match[1]]
        for match in _NUMBER.finditer(expression):
            if is_port(int(match[0])):
                return int(match[0])
        for match in _NAME.finditer(expression):
            owner, _, name = match[0].rpartition(".")
            if owner.lower().endswith(_ENVIRONS) and name.upper() in self._environment:
                return self._environment[name.upper()]
            texts = (self._text, *(self._beside if owner and depth < _DEEPEST else ()))
            for given in (given for text in texts for given in _assigned(text, name, owner)):
                found = self.port(given, depth + 1) if given != expression else None
                if found is not None:
                    return found
        option = re.search(r"\.get\(\s*([\"']\w*port[\"'])\s*\)", expression, re.ASCII | re.IGNORECASE)
        for given in _options(self._text, option[1].strip("\"'")) if option is not None else ():
            found = self.port(given, depth + 1)
            if found is not None:
                return found
        return None

    def named(self, inside: str, names: str = r"(?:server_|http_)?port") -> int | None:
        """Find the port that a call is given by name: `port=8000`, `{ port: 8000 }`, `{ port }`."""
        match = re.search(rf"(?<![\w$.])[\"']?{names}[\"']?\s*[=:](?!=)\s*", inside, re.ASCII | re.IGNORECASE)
        if match is not None:
            return self.port(pieces(_rest(inside, match.end()))[0] if inside[match.end() :].strip() else "")
        short = re.search(r"[{,]\s*(port)\s*[,}]", inside, re.ASCII)
        if short is not None:
            return self.port(short[1])
        first = next(iter(pieces(inside)), "")
        block = self._block(first) if re.fullmatch(r"[A-Za-z_$][\w$]*", first, re.ASCII) else None
        return None if block is None else self.named(block, names)

    def _block(self, name: str) -> str | None:
        """The braces that a name stands for: `const options = { port: 3000 }`."""
        made = re.search(rf"(?<![\w$.]){re.escape(name)}\s*(?::[^=\n]+)?=\s*\{{", self._text)
        inside = None if made is None else balanced(self._text, made.end())
        return None if inside is None else f"{{{inside}}}"

    def settled(self, key: str) -> int | None:
        """Find the port of a block of settings, and of no block in it: `server: { port: 3000, hmr: { port: 24678 } }`.
        """
        return self._block_port(rf"(?<![\w$.])[\"']?{re.escape(key)}[\"']?\s*:\s*[{{\[]")

    def exported(self) -> int | None:
        """Find the port of a server that a program exports: `export default { port: 3000, fetch }`."""
        return self._block_port(r"\bexport\s+default\s*\{")

    def _block_port(self, opening: str) -> int | None:
        for match in re.finditer(opening, self._text):
            for each in pieces(balanced(self._text, match.end()) or ""):
                given = re.match(r"[\"']?port[\"']?\s*:\s*", each)
                found = None if given is None else self.port(each[given.end() :])
                if found is not None:
                    return found
        return None

    def placed(self, inside: str) -> int | None:
        """Find the port that a call is given by its place: `listen(3000)`, `serve(handler, "", 8765)`."""
        for each in pieces(inside):
            if each[:1] in "\"'`{[" or "=>" in each or each.startswith(("function", "async", "lambda")):
                continue
            if re.match(r"[A-Za-z_]\w*\s*=(?!=)", each):
                continue
            each = re.sub(r"\s+as\s+\w+$|!$", "", each)
            number = _NUMBER.fullmatch(each)
            if number is not None and is_port(int(each)):
                return int(each)
            if re.search(r"port", each, re.IGNORECASE) or _ENVIRONMENT.search(each):
                found = self.port(each)
                if found is not None:
                    return found
        return None


def _assigned(text: str, name: str, owner: str) -> list[str]:
    """Give what a program assigns to a name. A field of that name counts where it is asked for as a field, or where
    nothing else has the name: the port of a database is a field, too."""
    word = re.escape(name)
    plain = re.findall(rf"(?<![\w$.]){word}[\"']?\]?\s*(?::\s*[\w<>|\[\] ]+?)?\s*=(?![=>])\s*([^;\n]+)", text)
    for names, values in re.findall(r"(?m)^[ \t]*(\w+(?:[ \t]*,[ \t]*\w+)+)[ \t]*=(?!=)[ \t]*([^\n]+)", text):
        apart, given = [each.strip() for each in names.split(",")], pieces(values)
        if name in apart and len(apart) == len(given):
            plain.append(given[apart.index(name)])
    own = [*plain, *_options(text, name)]
    if own and not owner:
        return own[:4]
    fields = list(re.finditer(rf"(?<![\w$]){word}[\"']?\s*:\s*([^,;\n}}]+)", text))
    return [*own, *(each[1] for each in sorted(fields, key=lambda each: _distance(text[: each.start()], owner)))][:4]


def _distance(before: str, owner: str) -> tuple[bool, int]:
    """How far a field is from where it is asked for: not in the block of that name, and how deep in others."""
    opened = [0]
    for match in re.finditer(r"[{}]", before):
        if match[0] == "{":
            opened.append(match.start())
        elif len(opened) > 1:
            opened.pop()
    key = re.search(r"(\w+)[\"']?\s*[:=]\s*$", before[: opened[-1]])
    return key is None or key[1] != owner.rpartition(".")[2], len(opened)


def _options(text: str, name: str) -> list[str]:
    """What options of a program's command line and settings by name default to: `add_argument("--port", default=8000)`,
    `define("port", 8000)`, `app.set("port", 3000)`, `.option("port", { default: 3000 })`."""
    found = []
    calls = r"[\w.]*(?:add_argument|option|define|Option)|(?:[\w$\s)]*\.)?(?:set|option|requiredOption|addOption)"
    for inside in arguments(text, calls):
        first, *rest = pieces(inside) or [""]
        if not re.search(rf"(?:^[\"']|--|,\s*[\"']){re.escape(name)}(?![\w-])", inside, re.IGNORECASE):
            continue
        given = re.search(r"(?<!\w)default\w*\s*[=:]\s*", inside)
        if given is not None:
            found.append(pieces(_rest(inside, given.end()))[0] if inside[given.end() :].strip() else "")
        elif first[:1] in "\"'" and rest:
            found += [each for each in rest if re.match(r"[\"']?\d|[\w(]*[\w. (]*env", each)][-1:]
    return found


def _rest(text: str, start: int) -> str:
    """An expression up to where the brackets around it are closed."""
    depth = 0
    for place in range(start, len(text)):
        if text[place] in "([{":
            depth += 1
        elif text[place] in ")]}":
            if depth == 0:
                return text[start:place]
            depth -= 1
    return text[start:]
