"""Variables out of JSON texts: `json_set` (nginx: ngx_http_json_module, 1.31.5).

    json_set $method $request_body method;
    json_set $first  $arg_data     tags[0];

A text is read once for a request, when the first of its variables is asked for.
"""

from __future__ import annotations

from penstock.config.errors import ConfigError
from penstock.config.key import Key
from penstock.config.kinds import custom
from penstock.config.registry import HTTP, command
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings
from penstock.config.settings import directive as setting
from penstock.config.tree import Directive
from penstock.config.values import decimal
from penstock.config.variables import Template
from penstock.http.request import Request
from penstock.modules.rewrite.computed import declare, variable_name
from penstock.modules.rewrite.json_text import NotJson, PathNode, extract

PAGE = "ngx_http_json_module.html"
DEEPEST = 256


class JsonText:
    """One variable that holds JSON, and the paths into it that are asked for."""

    __slots__ = ("_read", "asked", "count", "source")

    def __init__(self, source: Template) -> None:
        self.source = source
        self.asked = PathNode()
        self.count = 0
        self._read: Key[tuple[str, dict[int, str]]] = Key("JSON that was read")

    def values(self, request: Request) -> dict[int, str]:
        """Return the values of this request by the numbers of their paths; none where it is no JSON."""
        text = self.source.evaluate(request)
        if not text:
            return {}
        known = request.context(self._read, lambda: (text, self._extracted(request, text)))
        return known[1] if known[0] == text else self._extracted(request, text)

    def _extracted(self, request: Request, text: str) -> dict[int, str]:
        try:
            return extract(text, self.asked, request.server.root[JsonLimits].max_depth)
        except NotJson:
            return {}


TEXTS: Key[dict[str, JsonText]] = Key("JSON texts")
_DEFINED: Key[set[str]] = Key("variables out of JSON")


def _depth(call: Call) -> int:
    found = decimal(call.args[0].text)
    if found is None:
        raise call.fail("invalid number", call.args[0])
    if not 1 <= found <= DEEPEST:
        raise call.fail(f"value must be between 1 and {DEEPEST}", call.args[0])
    return found


class JsonLimits(Settings):
    """How deep lists and objects of a text may be nested."""

    max_depth: int = setting(
        "json_max_depth", where=HTTP, takes=custom(_depth, syntax="number"), default=32, nginx=PAGE
    )


@command("json_set", where=HTTP, least=3, most=3, syntax="$variable $source path", nginx=PAGE)
def json_set(scope: Scope, directive: Directive) -> None:
    """A variable that is what stands at a path of the JSON in another one."""
    target, source, path = directive.args
    name, held = variable_name(target), variable_name(source)
    compilation = scope.compilation
    defined = compilation.shared.setdefault(_DEFINED, set())
    if name in defined:
        raise ConfigError(f'json_set variable "{name}" is already defined', target.span)
    defined.add(name)
    texts = compilation.shared.setdefault(TEXTS, {})
    if held not in texts:
        texts[held] = JsonText(compilation.variables.template(source.text, source.span))
    text = texts[held]
    number = text.count
    try:
        text.asked.add(path.text, number)
    except ValueError:
        raise ConfigError(
            f'invalid json_set path "{path.text}"' if path.text else "empty json_set path",
            path.span,
            hint='write for example: user.name, tags[0], or \'["a.b"].c\'',
        ) from None
    text.count += 1
    declare(compilation, target, lambda request: text.values(request).get(number), text.source.names, remember=True)
