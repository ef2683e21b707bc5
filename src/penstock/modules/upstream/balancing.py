"""Which server of a group a request goes to: `least_conn`, `ip_hash`, `hash`, `random`.

nginx: ngx_http_upstream_least_conn_module, ..._ip_hash_module, ..._hash_module, ..._random_module. Without any of
them, weighted round robin.
"""

from __future__ import annotations

from dataclasses import replace

from penstock.config.errors import ConfigError
from penstock.config.registry import STREAM_UPSTREAM, UPSTREAM, command, refused
from penstock.config.scope import Scope
from penstock.config.tree import Directive, Word
from penstock.config.values import decimal, seconds
from penstock.modules.upstream.upstream import DRAFT, PAGE
from penstock.upstream.peers.balancers import Balancer, LeastConn
from penstock.upstream.peers.hashing import HashBalancer, IpHash
from penstock.upstream.peers.least_time import LeastTimeBalancer, TimeRule
from penstock.upstream.peers.queue import Queue
from penstock.upstream.peers.random_choice import Random, RandomTwo

ANY = UPSTREAM | STREAM_UPSTREAM
LEAST_TIME_PAGE = "ngx_http_upstream_least_time_module.html"



@command("least_conn", where=ANY, least=0, most=0, nginx=PAGE)
def least_conn(scope: Scope, directive: Directive) -> None:
    """Requests and tunnels go to the server that carries the fewest, for its weight."""
    _balance(scope, directive, LeastConn)


@command("ip_hash", where=UPSTREAM, least=0, most=0, nginx=PAGE)
def ip_hash(scope: Scope, directive: Directive) -> None:
    """Requests of one client, told by its address, go to one server."""
    _balance(scope, directive, IpHash)


@command("hash", where=ANY, most=2, syntax="key [consistent]", nginx=PAGE)
def hash_(scope: Scope, directive: Directive) -> None:
    """Requests with one key go to one server. `consistent`: few keys move when a server comes or goes."""
    word = directive.args[0]
    consistent = len(directive.args) == 2
    if consistent and directive.args[1].text != "consistent":
        raise ConfigError(f'invalid parameter "{directive.args[1].text}"', directive.args[1].span)
    key = scope.compilation.variables.template(word.text, word.span)
    _balance(scope, directive, HashBalancer(key, consistent=consistent))


@command(
    "random",
    where=ANY,
    least=0,
    most=2,
    syntax="[two [least_conn | least_time=header | least_time=last_byte]]",
    nginx=PAGE,
)
def random(scope: Scope, directive: Directive) -> None:
    """A server by chance. `two`: the less loaded of two, or the faster."""
    words = [word.text for word in directive.args]
    if len(words) == 2 and words[0] == "two" and words[1].startswith("least_time="):
        _balance(scope, directive, LeastTimeBalancer(_rule(directive.args[1]), two=True))
        return
    if words not in ([], ["two"], ["two", "least_conn"]):
        last = directive.args[-1]
        hint = "random [two [least_conn | least_time=header | least_time=last_byte]];"
        raise ConfigError(f'invalid parameter "{last.text}"', last.span, hint=hint)
    _balance(scope, directive, RandomTwo if words else Random)


def _balance(scope: Scope, directive: Directive, balancer: Balancer) -> None:
    draft = scope.data[DRAFT]
    if draft.method:
        scope.compilation.problems.warn("load balancing method redefined", directive.span)
    draft.method = directive.name.text
    draft.balancer = balancer


@command("least_time", where=UPSTREAM, most=2, syntax="header | last_byte [inflight]", nginx=LEAST_TIME_PAGE)
def least_time(scope: Scope, directive: Directive) -> None:
    """Requests and tunnels go where they are answered soonest: by the average time to the head of an answer, or to its
    end, and by what a server carries. Of a tunnel the handshake counts. `inflight`: unfinished requests count, too."""
    first, *rest = directive.args
    rule = _rule(first)
    if rest:
        if rest[0].text != "inflight":
            raise ConfigError(f'invalid parameter "{rest[0].text}"', rest[0].span, hint="it may be: inflight")
        rule = replace(rule, inflight=True)
    _balance(scope, directive, LeastTimeBalancer(rule))


def _rule(word: Word) -> TimeRule:
    text = word.text.removeprefix("least_time=")
    if text not in ("header", "last_byte"):
        raise ConfigError(f'invalid parameter "{word.text}"', word.span, hint="it may be: header, last_byte")
    return TimeRule(header=text == "header")


@command("queue", where=UPSTREAM, most=2, syntax="number [timeout=time]", nginx=PAGE)
def queue(scope: Scope, directive: Directive) -> None:
    """How many requests may wait, in each worker, for a server that may be given one, and for how long (60s). Who waits
    in vain gets 502."""
    draft = scope.data[DRAFT]
    if draft.queue is not None:
        raise ConfigError('"queue" directive is duplicate', directive.span)
    word, *rest = directive.args
    most = decimal(word.text)
    if not most:
        raise ConfigError(f'invalid value "{word.text}" in "queue" directive', word.span, hint="a number from 1 up")
    timeout = 60.0
    for each in rest:
        name, _, text = each.text.partition("=")
        try:
            timeout = seconds(text) if name == "timeout" else 0.0
        except ValueError:
            timeout = 0.0
        if not timeout:
            raise ConfigError(f'invalid parameter "{each.text}"', each.span, hint="such as timeout=10s")
    draft.queue = Queue(most, timeout)


refused(
    "least_time",
    where=STREAM_UPSTREAM,
    advice="streams are not measured for balancing; least_conn favours servers that are done soon just as well",
    module="upstream_balancing",
    nginx=PAGE,
)
