"""Answers that are stored as files on their way to the client: `proxy_store` and its kin (nginx:
ngx_http_upstream_store).

Nothing looks for them there: a `root` or `try_files` elsewhere does. What is stored is whole, or not there at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from penstock.config.errors import ConfigError
from penstock.config.kinds import custom
from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Call, Scope
from penstock.config.settings import directive
from penstock.config.variables import Template
from penstock.http.dates import parse_date
from penstock.modules.core.document_root import Files
from penstock.modules.core.files.access import ACCESS_BITS, OWN
from penstock.modules.core.files.paths import ups, within
from penstock.modules.core.temp_paths import default_folder
from penstock.modules.proxy.pass_request import Passing
from penstock.observe.errorlog import CRIT, report
from penstock.upstream.cache.filling import Filling
from penstock.upstream.cache.stored import StoredFile
from penstock.upstream.exchange.temp_file import CannotKeep, TempFolder

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.http.cache.answer import KeptAnswer
    from penstock.http.request import Request
    from penstock.http.response import ResponseHead
    from penstock.upstream.exchange.exchange import Exchange

ON, OFF = "on", "off"


def _place(call: Call) -> Template | str:
    word = call.args[0]
    if word.text in (ON, OFF):
        return word.text
    if not word.text.startswith("$"):
        word = word._replace(text=call.compilation.logs_path(word.text))
    return call.template(word)


@dataclass(frozen=True, slots=True)
class StoreRule:
    """Where answers are stored: where the location's files are, unless there is a `place`."""

    place: Template | None
    climbs: int
    access: int
    folder: TempFolder

    def path(self, request: Request) -> str:
        """Return the file for a request's answer."""
        if self.place is None:
            return request.location[Files].path(request, request.uri)
        return within(request, self.place.evaluate(request), self.climbs)


class Storing(Passing, abstract=True):
    """Answers of backends that are stored as files."""

    store: Template | str | None = directive(
        "*_store",
        where=HTTP_LEVELS,
        takes=custom(_place, syntax="on | off | path"),
        shown="off",
        doc="A whole answer with 200 becomes a file: where `root` or `alias` has it (`on`), or at this path. Answers "
        "that are not buffered are not stored.",
    )
    store_access: int = directive(
        "*_store_access",
        where=HTTP_LEVELS,
        takes=ACCESS_BITS,
        default=OWN,
        shown="user:rw",
    )

    store_rule: StoreRule | None = None

    def finish(self, scope: Scope) -> None:
        super().finish(scope)
        place = self.store
        if place is None or place == OFF or self.target is None:
            return
        own: dict[str, Any] = scope.own.get(type(self), {})
        cached = own.get("cache")
        if cached is not None and cached.text != OFF:
            if "store" in own:
                raise ConfigError(
                    f'"{self.prefix}_store" directive is incompatible with "{self.prefix}_cache"', self.origin("store")
                )
            return  # the inner one holds
        compilation = scope.compilation
        folder = self.temp_path or default_folder(compilation, f"{self.prefix}_temp", f"{self.prefix}_temp_path")
        template = None if isinstance(place, str) else place
        self.store_rule = StoreRule(template, 0 if template is None else ups(template.text), self.store_access, folder)
        self.policy = replace(self.policy, ignore_client_abort=True)
        self.exchange = self.storing(self.exchange)

    @property
    def stores(self) -> bool:
        """Return whether answers are stored here."""
        return self.store_rule is not None

    def storing(self, exchange: Callable[..., Exchange]) -> Callable[..., Exchange]:
        """Let exchanges store their answers, where the location says so."""
        rule = self.store_rule
        if rule is None:
            return exchange

        def stored(request: Request, *more: Any) -> Exchange:  # what `Exchange` takes
            made = exchange(request, *more)
            made.keep = Storekeeper(request, rule)
            return made

        return stored


class Storekeeper:
    """Stores the answer to one request, as `AnswerKeeper` keeps one in a cache."""

    __slots__ = ("_request", "_rule")

    def __init__(self, request: Request, rule: StoreRule) -> None:
        self._request = request
        self._rule = rule

    def intercepted(self, head: ResponseHead) -> None:
        """Do nothing: a page of ours is not stored."""

    def keep_answer(self, exchange: Exchange, head: ResponseHead, answer: KeptAnswer, *, buffering: bool) -> bool:
        """Give the answer its body, and store it. Return False where it is not to be stored, with nothing done."""
        rule, request = self._rule, self._request
        if head.status != 200 or not buffering or exchange.plan.asked == "HEAD":
            return False
        modified = parse_date(head.fields.get("last-modified", ""))
        try:
            stored = StoredFile(rule.folder, rule.path(request), rule.access, modified)
        except CannotKeep as error:
            report(request, CRIT, f"{error}, while an upstream response was stored")
            return False
        incoming = exchange.open(head)
        first = incoming.now()
        if not incoming.framing.done:
            body = Filling(incoming, first, stored)
            request.hold(body)
            answer.body = body
            return True
        answer.body = first
        try:
            try:
                stored.append(first)
                stored.complete(0)
            finally:
                stored.close()
        except CannotKeep as error:
            report(request, CRIT, f"{error}, while an upstream response was stored")
        return True
