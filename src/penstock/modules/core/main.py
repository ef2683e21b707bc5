"""The main level: processes, user, pid, events (nginx: ngx_core_module, ngx_events_module)."""

from __future__ import annotations

from penstock.config.errors import ConfigError
from penstock.config.key import Key
from penstock.config.kinds import Kind, choice, custom, either, flag, logs_path, number, seconds
from penstock.config.registry import (
    EVENTS,
    HTTP,
    LOCATION,
    MAIN,
    REGISTRY,
    SERVER,
    Spec,
    Verdict,
    block,
    inert,
    refused,
)
from penstock.config.scope import Call, Scope
from penstock.config.settings import Duplicate, Settings, directive, directives
from penstock.config.tree import Directive
from penstock.config.values import decimal
from penstock.shared.hints import HINTS, Hints
from penstock.shared.rows import LOADS, Rows

EVENTS_SCOPE: Key[Scope] = Key("events")

PAGE = "ngx_core_module.html"


def _user(call: Call) -> tuple[str, str]:
    names = [argument.text for argument in call.args]
    return names[0], names[-1]


def _processes(call: Call) -> int:
    text = call.args[0].text
    count = decimal(text)
    if not count:
        message = f'invalid number of worker processes "{text}"'
        raise call.fail(message, call.args[0], hint="a number from 1 up, or auto")
    return count


def _env(call: Call) -> tuple[str, str | None]:
    name, given, value = call.args[0].text.partition("=")
    return name, value if given else None


class Main(Settings):
    """Processes and files of the whole program."""

    daemon: bool = directive("daemon", where=MAIN, takes=flag, default=True, nginx=PAGE)
    master_process: bool = directive("master_process", where=MAIN, takes=flag, default=True, nginx=PAGE)
    worker_processes: int | None = directive(
        "worker_processes",
        where=MAIN,
        takes=either("auto", None, custom(_processes, syntax="number")),
        default=1,
        nginx=PAGE,
        doc="How many workers serve; `auto`: one for each core this process may use.",
    )
    pid: str | None = directive("pid", where=MAIN, takes=logs_path, nginx=PAGE, shown="logs/nginx.pid")
    user: tuple[str, str] | None = directive(
        "user", where=MAIN, takes=custom(_user, most=2, syntax="user [group]"), nginx=PAGE, shown="nobody nobody"
    )
    rlimit_nofile: int | None = directive("worker_rlimit_nofile", where=MAIN, takes=number, nginx=PAGE)
    priority: int = directive(
        "worker_priority",
        where=MAIN,
        takes=Kind(lambda call: _priority(call), syntax="number"),
        default=0,
        nginx=PAGE,
        again=lambda old, new: _later_priority(old, new),
    )
    shutdown_timeout: float | None = directive("worker_shutdown_timeout", where=MAIN, takes=seconds, nginx=PAGE)
    working_directory: str | None = directive("working_directory", where=MAIN, takes=logs_path, nginx=PAGE)
    env: tuple[tuple[str, str | None], ...] = directives(
        "env", where=MAIN, takes=custom(_env, syntax="variable[=value]"), nginx=PAGE
    )

    def finish(self, scope: Scope) -> None:
        shared = scope.compilation.shared
        shared[HINTS] = scope.compilation.previous.get(HINTS) or Hints()
        if self.master_process and self.worker_processes != 1:
            shared[LOADS] = scope.compilation.previous.get(LOADS) or Rows(LOADS.name, 1, 0)


def _priority(call: Call) -> int:
    text = call.args[0].text
    nice = decimal(text.removeprefix("-"))
    if nice is None:
        raise call.fail(f'invalid value "{text}" in "{call.name}" directive', call.args[0])
    return -nice if text.startswith("-") else nice


def _later_priority(old: int, new: int) -> int:
    """The last line counts, where those before it ask for nothing; nginx has it so."""
    if old:
        raise Duplicate
    return new


class Events(Settings):
    """How many connections a worker holds."""

    worker_connections: int = directive("worker_connections", where=EVENTS, takes=number, default=512, nginx=PAGE)
    use: str | None = directive(
        "use", where=EVENTS, takes=choice("epoll", "select", "poll", "kqueue", "eventport", "/dev/poll"), nginx=PAGE,
        inert="epoll is the way to wait for connections on Linux",
    )


@block("events", where=MAIN, nginx=PAGE)
def events(scope: Scope, directive: Directive) -> None:
    """Connections and how they are waited for."""
    if EVENTS_SCOPE in scope.data:
        raise ConfigError('"events" directive is duplicate', directive.name.span)
    inner = scope.data[EVENTS_SCOPE] = scope.child(EVENTS, directive)
    inner.walk(directive.block or ())


inert("multi_accept", where=EVENTS, reason="a worker always accepts in bounded batches", nginx=PAGE, module="main")
inert(
    "accept_mutex",
    "accept_mutex_delay",
    where=EVENTS,
    reason="the kernel wakes one worker per connection (EPOLLEXCLUSIVE)",
    nginx=PAGE,
    module="main",
)
inert(
    "debug_connection",
    where=EVENTS,
    reason="the error log's level decides alone",
    nginx=PAGE,
    module="main",
    again=("debug_connection",),
)
inert("epoll_events", where=EVENTS, reason="all events that are ready are taken at once", nginx=PAGE, module="main")
inert("worker_aio_requests", where=EVENTS, reason="files are read without aio", nginx=PAGE, module="main")
inert("lock_file", where=MAIN, reason="no lock is needed between workers", nginx=PAGE, module="main")
inert("timer_resolution", where=MAIN, reason="the clock is read once per poll", nginx=PAGE, module="main")
inert("worker_cpu_affinity", where=MAIN, least=1, reason="the scheduler places workers", nginx=PAGE, module="main")
inert("worker_rlimit_core", where=MAIN, reason="Python leaves a traceback, not a core", nginx=PAGE, module="main")
inert("debug_points", where=MAIN, reason="there are no debug points", nginx=PAGE, module="main")
inert("ssl_engine", where=MAIN, reason="OpenSSL's own configuration chooses engines", nginx=PAGE, module="main")
inert("ssl_object_cache_inheritable", where=MAIN, reason="keys are read at each load", nginx=PAGE, module="main")
inert(
    "thread_pool",
    where=MAIN,
    least=1,
    reason="files are sent by the kernel",
    nginx=PAGE,
    module="main",
    again=("thread_pool",),
)
inert(
    "load_module",
    where=MAIN,
    reason="nginx's binary modules can not be loaded; what they add is built in or refused by name",
    nginx=PAGE,
    module="main",
    again=("load_module",),
)
def _serves_nothing(directive: Directive) -> bool:
    return directive.block is not None and not any(
        inner.name.text == "server" and inner.block is not None for inner in directive.block
    )


def _beside(scope: Scope, directive: Directive) -> None:
    """Say that the block is left out; one with servers does not come here."""
    what = f'"{directive.name.text}" has no effect: there is no server in it'
    scope.compilation.problems.warn(what, directive.name.span, hint=_BESIDE)


_BESIDE = "Penstock does not speak the protocols of mail; keep this block in an nginx beside it"
REGISTRY.add(
    Spec(
        "mail",
        MAIN,
        _beside,
        0,
        0,
        block=True,
        verdict=Verdict.REFUSED,
        reason=_BESIDE,
        module="main",
        idle=_serves_nothing,
    )
)
refused(
    "perl",
    "perl_modules",
    "perl_require",
    "perl_set",
    where=HTTP | SERVER | LOCATION,
    advice="embedded Perl is not available; see map, set, if and auth_request, or put the logic into the backend",
    module="main",
)
