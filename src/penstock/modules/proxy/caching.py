"""`proxy_cache` and its kin: the directives that all families share, and a request's way when answers are kept (nginx:
ngx_http_upstream_cache).

    look -> give what is kept, or wait for who fetches it, or fetch -> keep, give, or give what has expired

Who asks for an upgrade goes past the cache: a handshake is nobody else's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from penstock.config import values
from penstock.config.kinds import Kind, choices, custom, flag, number, offset, seconds, template
from penstock.config.os_errors import os_failure
from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Call, Scope
from penstock.config.settings import added, directive, directives, phase, united
from penstock.config.variables import Template
from penstock.http.cache.entry import LONGEST_KEY
from penstock.http.cache.slicing import SLICING, same_slice
from penstock.http.request import Answer, Outcome, Request, special
from penstock.modules.access.delay import delay
from penstock.modules.cache.give import error_answer, head_of, kept_answer
from penstock.modules.cache.keep import AnswerKeeper
from penstock.modules.cache.lookup import EXPIRED, HIT, LOOKUP, MISS, REVALIDATED, STALE, UPDATING, CacheLookup
from penstock.modules.cache.purge import purge
from penstock.modules.cache.rules import ALL, CacheRules, any_holds
from penstock.modules.cache.stores import caches
from penstock.modules.core.client_body import not_kept
from penstock.modules.core.temp_paths import default_folder
from penstock.modules.proxy.binding import anew, local_for
from penstock.modules.proxy.pass_request import OF_HTTP
from penstock.modules.proxy.storing import Storing
from penstock.observe.errorlog import CRIT, ERROR, INFO, report
from penstock.plan import phases
from penstock.upstream.errors import ProxyError
from penstock.upstream.exchange.outgoing import Prepared
from penstock.upstream.exchange.policy import CONDITIONS, RETRIED, Policy
from penstock.upstream.exchange.sending import NOTHING, OutgoingBody
from penstock.upstream.exchange.temp_file import CannotKeep

if TYPE_CHECKING:
    from penstock.modules.proxy.targets import Destination

STATUSES = (200, 301, 302)
"""Statuses that a `*_cache_valid` without any is about."""
FIRST_PAUSE = 0.01
LONGEST_PAUSE = 0.25
"""Seconds between two looks whether another has fetched what a request waits for."""


def _valid(call: Call) -> tuple[tuple[int, int], ...]:
    *words, last = call.args
    try:
        span = values.whole_seconds(last.text)
    except ValueError as error:
        raise call.fail(f'invalid time value "{last.text}"', last, hint=str(error)) from None
    made: list[int] = []
    for word in words:
        status = ALL if word.text == "any" else int(word.text) if word.text.isdecimal() else -1
        if status != ALL and not 100 <= status <= 599:
            raise call.fail(f'invalid status "{word.text}"', word, hint="a number such as 404, or any")
        made.append(status)
    return tuple((status, span) for status in made or STATUSES)


def _templates(call: Call) -> tuple[Template, ...]:
    return tuple(call.template(word) for word in call.args)


def _zone(call: Call) -> Template:
    """Take a name that some `*_cache_path` gives, perhaps further below, whether or not anybody uses it here."""
    name = call.template(call.args[0])
    if name.literal not in (None, "off"):
        call.compilation.defer(lambda: _known(call, name))
    return name


def _known(call: Call, name: Template) -> None:
    if name.literal not in caches(call.compilation):
        hint = f"define it in http: {call.name}_path /var/cache/x keys_zone={name.text}:10m;"
        raise call.fail(f'"{call.name}" zone "{name.text}" is unknown', hint=hint)


def _use_stale(call: Call) -> frozenset[str]:
    known = [each for each in CONDITIONS if each not in ("non_idempotent", "denied")]
    if call.name.startswith("fastcgi_"):
        known = [each for each in known if each not in OF_HTTP]
    made: frozenset[str] = choices(*known, "updating", "off").parse(call)
    return made


def _methods(call: Call) -> frozenset[str]:
    known = {"GET", "HEAD", "POST"}
    for word in call.args:
        if word.text.upper() not in known:
            raise call.fail(f'invalid value "{word.text}" in "{call.name}" directive', word, hint="GET, HEAD or POST")
    return frozenset({"GET", "HEAD", *(word.text.upper() for word in call.args)})


PREDICATES = custom(_templates, most=None, syntax="value ...")


class Caching(Storing, abstract=True):
    """Answers of backends that are kept in files, for all workers."""

    cache: Template | None = directive(
        "*_cache",
        where=HTTP_LEVELS,
        takes=custom(_zone, syntax="value"),
        shown="off",
        doc="The zone of a `*_cache_path`, or `off`. Handshakes of WebSockets, and whoever else asks for an upgrade, "
        "go past it.",
    )
    cache_key: Template | None = directive("*_cache_key", where=HTTP_LEVELS, takes=template)
    cache_valid: tuple[tuple[tuple[int, int], ...], ...] = directives(
        "*_cache_valid", where=HTTP_LEVELS, takes=custom(_valid, most=None, syntax="[code ...] time")
    )
    cache_bypass: tuple[Template, ...] = directive(
        "*_cache_bypass", where=HTTP_LEVELS, takes=PREDICATES, default=(), again=added
    )
    no_cache: tuple[Template, ...] = directive(
        "*_no_cache", where=HTTP_LEVELS, takes=PREDICATES, default=(), again=added
    )
    cache_purge: tuple[Template, ...] = directive(
        "*_cache_purge",
        where=HTTP_LEVELS,
        takes=PREDICATES,
        default=(),
        again=added,
        doc="nginx Plus's. A request for which a value is neither empty nor `0` takes away what is kept under its key: "
        "204, or 404 where that is nothing. A key that ends with `*` stands for all that begin so. Let only those in "
        "who may do that.",
    )
    cache_min_uses: int = directive("*_cache_min_uses", where=HTTP_LEVELS, takes=number, default=1)
    cache_max_range_offset: int | None = directive("*_cache_max_range_offset", where=HTTP_LEVELS, takes=offset)
    cache_use_stale: frozenset[str] = directive(
        "*_cache_use_stale",
        where=HTTP_LEVELS,
        takes=Kind(_use_stale, 1, None, " | ".join((*CONDITIONS, "updating", "off")) + " ..."),
        default=frozenset(),
        shown="off",
        again=united,
    )
    cache_methods: frozenset[str] = directive(
        "*_cache_methods",
        where=HTTP_LEVELS,
        takes=Kind(_methods, 1, None, "GET | HEAD | POST ..."),
        default=frozenset({"GET", "HEAD"}),
        shown="GET HEAD",
        again=united,
    )
    cache_lock: bool = directive("*_cache_lock", where=HTTP_LEVELS, takes=flag, default=False)
    cache_lock_timeout: float = directive(
        "*_cache_lock_timeout", where=HTTP_LEVELS, takes=seconds, default=5.0, shown="5s"
    )
    cache_lock_age: float = directive("*_cache_lock_age", where=HTTP_LEVELS, takes=seconds, default=5.0, shown="5s")
    cache_revalidate: bool = directive("*_cache_revalidate", where=HTTP_LEVELS, takes=flag, default=False)
    cache_background_update: bool = directive(
        "*_cache_background_update", where=HTTP_LEVELS, takes=flag, default=False
    )

    cache_convert_head: bool = False
    rules: CacheRules
    kept_policy: Policy

    def finish(self, scope: Scope) -> None:
        super().finish(scope)
        name = self.cache
        self.caches = self.target is not None and name is not None and name.text != "off" and not self.stores
        if not self.caches or name is None:
            return
        compilation = scope.compilation
        stores = caches(compilation)
        if self.cache_key is None and self.prefix != "proxy":
            compilation.problems.warn(
                f'no "{self.prefix}_cache_key" for "{self.prefix}_cache"',
                self.origin("cache"),
                hint="all requests would share one answer: without a key nothing is kept here",
            )
            self.caches = False
            return
        self.kept_policy = replace(self.policy, ignore_client_abort=True)
        stale = self.cache_use_stale
        self.rules = CacheRules(
            name,
            stores,
            self.cache_key,
            tuple(pair for pairs in self.cache_valid for pair in pairs),
            self.cache_bypass,
            self.no_cache,
            self.cache_purge,
            self.cache_methods,
            frozenset() if "off" in stale else stale,
            frozenset(each.lower() for each in self.ignored_headers),
            self.cache_min_uses,
            self.cache_max_range_offset,
            self.cache_lock,
            self.cache_lock_timeout,
            self.cache_lock_age,
            self.cache_revalidate,
            self.cache_background_update,
            self.cache_convert_head,
            self.temp_path or default_folder(compilation, f"{self.prefix}_temp", f"{self.prefix}_temp_path"),
        )

    # -- what a module of the family supplies ---------------------------------------------------------------------

    def default_key(self, request: Request, there: Destination) -> str:
        """Return the key where `*_cache_key` says none."""
        raise NotImplementedError

    def prepare_kept(self, request: Request, there: Destination, length: int | None, *, chunked: bool) -> Prepared:
        """Prepare a request whose answer may be kept, and so has to be the answer to all. Raises `ProxyError`."""
        raise NotImplementedError

    # -- a request's way ------------------------------------------------------------------------------------------

    @phase(phases.CONTENT, when=lambda self: self.caches)
    async def pass_cached(self, request: Request) -> Outcome:
        """Answer with what is kept, or pass the request on and keep the answer."""
        rules = self.rules
        name = rules.name.literal or rules.name.evaluate(request)
        if name in ("", "off") or (not rules.purge and self._goes_past(request)):
            return await self._past(request)
        store = rules.stores.get(name)
        if store is None:
            report(request, ERROR, f'cache "{name}" not found')
            return special(500)
        outgoing: tuple[OutgoingBody, int | None, bool] = NOTHING, request.head.content_length, False
        if request.body.length != 0:
            try:
                outgoing = await self._body(request)
            except CannotKeep as error:
                not_kept(request, error)
                return special(500)
        key = self.key_of(request)
        if key is None or len(key) > LONGEST_KEY:
            return await self._past(request)
        if rules.purge and any_holds(rules.purge, request):
            return await purge(request, store, key)
        if self._goes_past(request):
            return await self._past(request)
        lookup = CacheLookup(rules, store, request, key)
        request.hold(lookup)
        request.context(LOOKUP, lambda: lookup)
        if any_holds(rules.bypass, request):
            lookup.bypass()
        else:
            # What is there, and good, is found without a coroutine for it.
            self._search(request, lookup, again=False)
            kept = self.kept(request, lookup) if lookup.status == HIT else await self._look(request, lookup)
            if kept is not None:
                return kept
        return await self._fetch(request, lookup, *outgoing)

    def _goes_past(self, request: Request) -> bool:
        return request.method not in self.rules.methods or "upgrade" in request.head.fields

    async def _past(self, request: Request) -> Outcome:
        """Pass the request on as if there were no cache."""
        outcome: Outcome = await self.pass_on(request)
        return outcome

    def key_of(self, request: Request) -> str | None:
        """Return what the answer to a request is kept under; None where that can not be known."""
        if self.rules.key is not None:
            return self.rules.key.evaluate(request)
        there = self.targets.known(request)
        return None if there is None else self.default_key(request, there)

    async def _look(self, request: Request, lookup: CacheLookup) -> Answer | None:
        """See what becomes of a request whose answer is not there, or has expired; None where it has to be fetched."""
        rules = self.rules
        timers = request.connection.service.timers
        deadline, pause = timers.now + rules.lock_timeout, FIRST_PAUSE
        while True:
            if lookup.status == HIT:
                return self.kept(request, lookup)
            if lookup.opened is not None:
                return self._expired(request, lookup)
            if lookup.status != UPDATING:
                return None
            lookup.status = MISS
            while lookup.is_fetched(timers.now):
                left = deadline - timers.now
                if left <= 0:
                    if rules.lock_timeout:
                        report(request, INFO, "cache lock timeout")
                    lookup.keeps = False
                    return None
                await delay(request, min(pause, left))
                pause = min(2 * pause, LONGEST_PAUSE)
            self._search(request, lookup, again=True)

    def _search(self, request: Request, lookup: CacheLookup, *, again: bool) -> None:
        try:
            lookup.search(request.connection.service.timers.now, again=again)
        except OSError as error:
            report(request, CRIT, os_failure("open()", error, lookup.store.path))
            lookup.status, lookup.keeps = MISS, False

    def _expired(self, request: Request, lookup: CacheLookup) -> Answer | None:
        stale = lookup.stale_while_updating
        if lookup.status == UPDATING and stale:
            return self.kept(request, lookup)
        if lookup.status == EXPIRED and stale and self.rules.in_background:
            claim, key, store = lookup.hand_on(), lookup.key.decode("latin-1"), lookup.store
            slicing = same_slice(request)

            async def update(copy: Request) -> None:
                """Fetch anew what has expired, for nobody who waits."""
                own = CacheLookup(self.rules, store, copy, key)
                copy.hold(own)
                copy.context(LOOKUP, lambda: own)
                if slicing is not None:
                    copy.context(SLICING, lambda: slicing)
                own.find_expired(claim)
                await self._fetch(copy, own, NOTHING, None, chunked=False)

            request.connection.service.behind(request, update)
            lookup.status = STALE
            return self.kept(request, lookup)
        lookup.status = EXPIRED
        return None

    def kept(self, request: Request, lookup: CacheLookup) -> Answer:
        """Answer with what is kept."""
        if lookup.error:
            return error_answer(lookup)
        head = head_of(lookup)
        answer = kept_answer(request, lookup, head)
        self.answers.headers(self, request, answer, head)
        if answer.allow_ranges:
            answer.drop("accept-ranges")
        elif self.force_ranges:
            answer.allow_ranges = True
        return answer

    async def _fetch(
        self, request: Request, lookup: CacheLookup, body: OutgoingBody, length: int | None, chunked: bool
    ) -> Outcome:
        lookup.keeps = lookup.keeps and self.rules.keeps_range(request)
        try:
            there = self.targets.fixed or await self.targets.find(request)
            prepare = self.prepare_kept if lookup.keeps else self.prepare
            prepared = prepare(request, there, length, chunked=chunked)
            if self.judges and (refused := self.judged(request, prepared)) is not None:
                return refused
            if self.each:
                prepared.each = anew(self, there, prepare, length, chunked=chunked)
            local = None if self.bind_once is None else local_for(self.bind_once, request)
            # Who waits for what is to be kept is not the only one who wants it.
            policy = self.kept_policy if lookup.keeps else self.policy
            exchange = self.exchange(request, prepared, policy, body, local)
            exchange.keep = AnswerKeeper(request, lookup)
            head = await exchange.run()
            try:
                kept = self._instead(request, lookup, head.status)
                if kept is not None:
                    exchange.open(head).drop()
                    if lookup.status == REVALIDATED:
                        lookup.renew(head.headers, head_of(lookup).headers, kept.status)
                        lookup.release()
                    return kept
                return self.answers.make(self, request, exchange, head)
            except BaseException:
                exchange.abandon()
                raise
        except ProxyError as error:
            condition = error.retry or ("error" if error.status == 502 else "")
            if condition and lookup.stale_on(condition, failure=True):
                lookup.status = STALE
                return self.kept(request, lookup)
            if lookup.keeps and error.status in (502, 504):
                lookup.failed(error.status)
            lookup.release()
            return self.refused(request, error)

    def _instead(self, request: Request, lookup: CacheLookup, status: int) -> Answer | None:
        """What is kept, where it is given in place of the answer that has come."""
        if status < 300 or lookup.opened is None:
            return None
        if status in RETRIED and lookup.stale_on(RETRIED[status], failure=False):
            lookup.status = STALE
            return self.kept(request, lookup)
        if status == 304 and lookup.status == EXPIRED and self.rules.revalidate:
            lookup.status = REVALIDATED
            return self.kept(request, lookup)
        return None


Caching.pass_cached.auto_redirect = True
