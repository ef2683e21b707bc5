"""A page with server-side includes while it is made: its variables, its blocks, and what each command does."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from penstock.config.key import Key
from penstock.config.variables import Getter
from penstock.http.errors import BadRequest
from penstock.http.request import Request
from penstock.http.uri import escape_entities, normalize, split_target
from penstock.modules.filters.bodies import pieces
from penstock.modules.filters.ssi.commands import Scanner, SsiCommand
from penstock.modules.filters.ssi.match import BadExpression, Expressions, GivenUp
from penstock.observe.errorlog import ALERT, ERROR, report

CONTEXT: Key[Page] = Key("ssi")
TIME_FORMAT = "%A, %d-%b-%Y %H:%M:%S %Z"
MOST_IN_MEMORY = 1 << 20
"""Bytes that `include set=` may store, and that the blocks of a page may take."""

_ERROR = "[an error occurred while processing the directive]"
_PARAMS = {
    "include": ((), ("virtual", "file", "wait", "set", "stub")),
    "echo": (("var",), ("var", "default", "encoding")),
    "config": ((), ("errmsg", "timefmt")),
    "set": (("var", "value"), ("var", "value")),
    "if": (("expr",), ("expr",)),
    "elif": (("expr",), ("expr",)),
    "else": ((), ()),
    "endif": ((), ()),
    "block": (("name",), ("name",)),
    "endblock": ((), ()),
}
"""What each command needs and takes."""

_PIECE = re.compile(r"\\([\\'\"$])|\$(?:\{([A-Za-z0-9_]*)(\}?)|([A-Za-z0-9_]+))|(\$)", re.ASCII)
_EXPRESSION = re.compile(r"""([A-Za-z0-9$_{}"']*) *(?:(!?=) *(.*))?\Z""", re.ASCII | re.DOTALL)
_QUOTED_IN_URL = re.compile("[^!$&'()*+,./0-9:;=?@A-Z_a-z~-]")


class Trouble(Exception):
    """A command can not be carried out; the text is nginx's, for the error log."""


class Page:
    """What commands of one answer share. The pages of a request and its subrequests share variables and blocks."""

    def __init__(self, request: Request, look_up: Callable[[str], Getter | None], *, silent: bool) -> None:
        self.request = request
        self.look_up = look_up
        """What finds variables of the configuration."""
        self.silent = silent
        self.time_format = TIME_FORMAT
        self.error_text = _ERROR
        self.encode: Callable[[str], str] = escape_entities
        self.showing = True
        self.chosen = False
        self.condition = ""
        """The command that began the branch: "", "if" or "else"."""
        self.block: str | None = None
        main = request.main.context(CONTEXT, lambda: self)
        self.variables: dict[str, str] = {} if main is self else main.variables
        self.blocks: dict[str, str] = {} if main is self else main.blocks
        self.expressions: Expressions = Expressions() if main is self else main.expressions

    async def render(self, part: str | SsiCommand) -> AsyncGenerator[bytes, None]:
        """Render the next part of the text."""
        if self.block is not None and not (isinstance(part, SsiCommand) and part.name == "endblock"):
            self._record(self.block, part if isinstance(part, str) else part.text)
            return
        if isinstance(part, str):
            if self.showing:
                yield part.encode("latin-1")
            return
        try:
            async with aclosing(self._carry_out(part)) as parts:
                async for made in parts:
                    yield made
        except Trouble as trouble:
            report(self.request, ERROR, str(trouble))
            if not self.silent and self.showing:
                yield self.error_text.encode("latin-1")

    def _record(self, name: str, text: str) -> None:
        if sum(map(len, self.blocks.values())) + len(text) <= MOST_IN_MEMORY:
            self.blocks[name] += text

    async def _carry_out(self, command: SsiCommand) -> AsyncGenerator[bytes, None]:
        name = command.name
        if name not in _PARAMS:
            raise Trouble(f'invalid SSI command: "{name or command.text}"')
        if not self.showing and name not in ("if", "elif", "else", "endif"):
            return
        params = _checked(command)
        match name:
            case "include":
                async with aclosing(self._include(params)) as parts:
                    async for made in parts:
                        yield made
            case "echo":
                yield self._echo(params)
            case "config":
                self.time_format = params.get("timefmt", self.time_format)
                self.error_text = params.get("errmsg", self.error_text)
            case "set":
                self.variables[params["var"].lower()] = self._text(params["value"])
            case "block":
                self.block = params["name"]
                self.blocks[self.block] = ""
            case "endblock":
                self.block = None
            case _:
                self._branch(name, params)

    def _branch(self, name: str, params: dict[str, str]) -> None:
        if name == "if" and self.condition:
            raise Trouble('the "if" command inside the "if" command')
        if name != "if" and (not self.condition or (self.condition == "else" and name != "endif")):
            raise Trouble(f'invalid context of SSI command: "{name}"')
        if name == "endif":
            self.showing, self.chosen, self.condition = True, False, ""
            return
        self.showing = not self.chosen and (name == "else" or self._holds(params["expr"]))
        self.chosen = self.chosen or self.showing
        self.condition = "else" if name == "else" else "if"

    def _holds(self, expression: str) -> bool:
        match = _EXPRESSION.match(expression)
        if match is None:
            raise Trouble(f'invalid expression in "{expression}"')
        left = self._text(match[1].lower())
        operator, right = match[2], match[3]
        if operator is None:
            return bool(left)
        if right.startswith("/") and len(right) > 1:
            if not right.endswith("/"):
                raise Trouble(f'invalid expression in "{expression}"')
            return self._matches(left, self._text(right[1:-1])) == (operator == "=")
        if right.startswith("\\/"):
            right = right[1:]
        return (left == self._text(right)) == (operator == "=")

    def _matches(self, text: str, pattern: str) -> bool:
        try:
            match = self.expressions.match(pattern, text)
        except BadExpression as error:
            if isinstance(error, GivenUp):
                report(self.request, ALERT, str(error))
            raise Trouble(str(error)) from None
        if match is None:
            return False
        for number, value in enumerate(match.groups(), 1):
            self.variables[str(number)] = value or ""
        for name, value in match.groupdict().items():
            self.variables[name.lower()] = value or ""
        return True

    def _value(self, name: str) -> str | None:
        """A variable: of the page, else of the request."""
        own = self.variables.get(name.lower())
        if own is not None:
            return own
        get = self.look_up(name.lower())
        return None if get is None else get(self.request)

    def _text(self, text: str) -> str:
        """Text with its variables and escapes resolved."""

        def resolve(match: re.Match[str]) -> str:
            escaped, braced, bracket, plain, lone = match.groups()
            if escaped is not None:
                return str(escaped)
            if lone is not None or braced == "":
                raise Trouble(f'invalid variable name in "{text}"')
            if braced is not None and not bracket:
                raise Trouble(f'the closing bracket in "{braced}" variable is missing')
            return self._value(plain if plain is not None else braced) or ""

        return _PIECE.sub(resolve, text) if "$" in text or "\\" in text else text

    def _echo(self, params: dict[str, str]) -> bytes:
        value = self._value(params["var"])
        if value is None:
            value = params.get("default", "(none)")
        encoding = params.get("encoding")
        if encoding is not None:
            if encoding in _ENCODINGS:
                self.encode = _ENCODINGS[encoding]
            else:
                report(self.request, ERROR, f'unknown encoding "{encoding}" in the "echo" command')
        return self.encode(value).encode("latin-1")

    async def _include(self, params: dict[str, str]) -> AsyncGenerator[bytes, None]:
        target, stub = self._target(params), params.get("stub")
        if stub is not None and stub not in self.blocks:
            raise Trouble(f'"stub"="{stub}" for "include" not found')
        try:
            path, args = split_target(target)
            path = normalize(path)
        except BadRequest:
            raise Trouble(f'unsafe URI "{target}" was detected') from None
        request = self.request
        service = request.connection.service
        inner: Request | None = await service.subrequest(request, path, args)
        if inner is None or inner.answer is None:
            raise Trouble(f'"{target}" can not be included')
        try:
            if "set" in params:
                self.variables[params["set"].lower()] = await self._stored(inner)
            elif stub is not None and (inner.answer.status >= 300 or inner.answer.length == 0):
                async with aclosing(self._stub(inner, self.blocks[stub])) as parts:
                    async for made in parts:
                        yield made
            else:
                async for piece in pieces(inner.answer.body):
                    yield piece
        finally:
            service.end_subrequest(inner)

    def _target(self, params: dict[str, str]) -> str:
        given = [params[name] for name in ("virtual", "file") if name in params]
        if not given:
            raise Trouble('no parameter in "include" SSI command')
        if len(given) > 1:
            raise Trouble(f'inclusion may be either virtual="{given[0]}" or file="{given[1]}"')
        if "set" in params and "stub" in params:
            raise Trouble('"set" and "stub" cannot be used together in "include" SSI command')
        wait = params.get("wait", "no").lower()
        if wait not in ("yes", "no"):
            raise Trouble(f'invalid value "{params["wait"]}" in the "wait" parameter')
        target = self._text(given[0])
        uri = self.request.uri
        return target if target.startswith("/") else uri[: uri.rfind("/") + 1] + target

    async def _stored(self, inner: Request) -> str:
        assert inner.answer is not None
        kept = bytearray()
        async for piece in pieces(inner.answer.body):
            kept += piece
            if len(kept) > MOST_IN_MEMORY:
                raise Trouble("too big subrequest response")
        return kept.decode("latin-1") if inner.answer.status < 300 else ""

    async def _stub(self, inner: Request, text: str) -> AsyncGenerator[bytes, None]:
        """What a block says in place of what could not be included."""
        from penstock.modules.filters.ssi.ssi import Ssi

        if not inner.location[Ssi].enabled:
            yield text.encode("latin-1")
            return
        page = Page(inner, self.look_up, silent=self.silent)
        scanner = Scanner()
        for part in (*scanner.feed(text), scanner.end()):
            async with aclosing(page.render(part)) as parts:
                async for made in parts:
                    yield made


def _checked(command: SsiCommand) -> dict[str, str]:
    """The parameters by name; raises `Trouble`."""
    needed, taken = _PARAMS[command.name]
    params: dict[str, str] = {}
    for name, value in command.params:
        if name not in taken:
            raise Trouble(f'invalid parameter name: "{name}" in "{command.name}" SSI command')
        if name in params:
            raise Trouble(f'duplicate "{name}" parameter in "{command.name}" SSI command')
        params[name] = value
    for name in needed:
        if name not in params:
            raise Trouble(f'mandatory "{name}" parameter is absent in "{command.name}" SSI command')
    return params


def _in_url(text: str) -> str:
    return _QUOTED_IN_URL.sub(lambda match: f"%{ord(match[0]):02X}", text)


_ENCODINGS: dict[str, Callable[[str], str]] = {"none": str, "url": _in_url, "entity": escape_entities}
