"""Files: `root`, `alias`, `types`, and the answer from a file (nginx: ngx_http_core_module, ngx_http_static_module)."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from penstock.config.errors import ConfigError
from penstock.config.kinds import custom
from penstock.config.registry import HTTP_LEVELS, IF_LOCATION, LOCATION, block
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directive, phase
from penstock.config.tree import Directive
from penstock.config.variables import Template
from penstock.http.dates import http_date
from penstock.http.request import Answer, FilePart, Outcome, Request, special
from penstock.http.uri import exten
from penstock.modules.http_core import PAGE, HttpCore
from penstock.observe.errorlog import ALERT, CRIT, ERROR, report
from penstock.plan import phases

DEFAULT_TYPES: Final = {"html": "text/html", "gif": "image/gif", "jpg": "image/jpeg"}
"""What nginx knows without a `types` block."""


def _root(call: Call) -> Template:
    word = call.args[0]
    path = word.text
    if call.name == "alias" and call.scope.data["location"].kind == "named":
        raise call.fail('the "alias" directive cannot be used inside the named location')
    if "$document_root" in path or "${document_root}" in path:
        raise call.fail("the $document_root variable cannot be used in the \"root\" directive", word)
    if not path.startswith("$"):
        path = call.compilation.logs_path(path) if path else call.compilation.prefix
    if call.name == "root":
        path = path.rstrip("/")
    return call.compilation.variables.template(path, word.span)


class Files(Settings):
    """Where a location's files are."""

    root: Template | None = directive(
        "root",
        where=HTTP_LEVELS | IF_LOCATION,
        takes=custom(_root, syntax="path"),
        nginx=PAGE,
        shown="html",
    )
    alias: Template | None = directive(
        "alias", where=LOCATION, takes=custom(_root, syntax="path"), nginx=PAGE
    )
    types: dict[str, str] | None = None
    aliased: str = ""
    """The location's name that `alias` replaces; empty in a location by regular expression."""
    by_regex: bool = False

    def finish(self, scope: Scope) -> None:
        if "root" in self.origins and "alias" in self.origins and scope.own.get(Files, {}).keys() >= {"root", "alias"}:
            raise ConfigError(
                '"root" directive is duplicate, "alias" directive was specified earlier', self.origins["root"][0]
            )
        if scope.own.get(Files, {}).get("root") is not None:
            self.alias = None
        if self.root is None:
            self.root = scope.compilation.variables.template(scope.compilation.logs_path("html"))
        if self.alias is not None:
            location = _given_in(scope, "alias").data["location"]
            self.by_regex = location.kind == "regex"
            self.aliased = "" if self.by_regex else location.name
        level = _given_in(scope, "types")
        self.types = level.own.get(Files, {}).get("types", DEFAULT_TYPES)

    def path(self, request: Request, uri: str) -> str:
        """The file for a path of the request's location."""
        if self.alias is not None:
            base = self.alias.evaluate(request)
            if self.by_regex:
                return base + uri if request.add_uri_to_alias else base
            return base + uri[len(self.aliased) :]
        assert self.root is not None
        return self.root.evaluate(request) + uri

    def type_of(self, uri: str, default: str) -> str | None:
        """The media type by the file's extension; None where neither it nor a default says."""
        assert self.types is not None
        return self.types.get(exten(uri).lower(), default) or None

    @phase(phases.CONTENT, when=lambda self: True)
    def serve(self, request: Request) -> Outcome:
        """Answer GET and HEAD from a file; a directory without its slash is redirected to it."""
        uri = request.uri
        if request.method not in ("GET", "HEAD", "POST"):
            return special(405)
        if uri.endswith("/"):
            return None
        request.go_on()
        if self.alias is not None and not request.valid_location:
            name = request.location.name
            report(request, ALERT, f'"alias" cannot be used in location "{name}" where URI was rewritten')
            return special(500)
        path = self.path(request, uri)
        return open_answer(request, path, uri, self)


def _given_in(scope: Scope, name: str) -> Scope:
    """The nearest level that gives a value of its own; the outermost where none does."""
    level = scope
    while name not in level.own.get(Files, {}) and level.parent is not None:
        level = level.parent
    return level


class Opened:
    """An open regular file."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})
DENIED = frozenset({errno.EACCES, errno.ELOOP})


def open_answer(request: Request, path: str, uri: str, files: Files) -> Outcome:
    """The answer with that file's content, or nginx's refusal."""
    core = request.location[HttpCore]
    try:
        fd = os.open(path.encode("latin-1"), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return _failed(request, core, path, error)
    except ValueError:
        return special(404)
    status = os.fstat(fd)
    if stat.S_ISDIR(status.st_mode):
        os.close(fd)
        return _slash(request, uri)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        report(request, CRIT, f'"{path}" is not a regular file')
        return special(404)
    if request.method == "POST":
        os.close(fd)
        return special(405)
    return _of_file(fd, status, files.type_of(uri, core.default_type), core)


def open_beside(request: Request, path: str, uri: str, files: Files) -> Answer | None:
    """The answer with the content of `path` and the type of `uri`; None where there is no such file."""
    core = request.location[HttpCore]
    try:
        fd = os.open(path.encode("latin-1"), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in ABSENT:
            _failed(request, core, path, error)
        return None
    except ValueError:
        return None
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode):
        return _of_file(fd, status, files.type_of(uri, core.default_type), core)
    os.close(fd)
    if stat.S_ISDIR(status.st_mode):
        return None
    report(request, CRIT, f'"{path}" is not a regular file')
    return special(404)


def _of_file(fd: int, status: os.stat_result, content_type: str | None, core: HttpCore) -> Answer:
    answer = Answer(200, FilePart(Opened(fd), 0, status.st_size), length=status.st_size)
    answer.content_type = content_type
    stamp(answer, status.st_mtime, status.st_size, core)
    answer.allow_ranges = True
    return answer


def stamp(answer: Answer, modified: float, size: int, core: HttpCore) -> None:
    """Last-Modified and, with `etag on`, nginx's tag: time and size in hexadecimal."""
    answer.modified_at = int(modified)
    answer.last_modified = http_date(int(modified))
    if core.etag:
        answer.etag = f'"{int(modified):x}-{size:x}"'


def _failed(request: Request, core: HttpCore, path: str, error: OSError) -> Answer:
    number = error.errno or 0
    words = f'open() "{path}" failed ({number}: {os.strerror(number)})'
    if number in ABSENT:
        if core.log_not_found:
            report(request, ERROR, words)
        return special(404)
    if number in DENIED:
        report(request, ERROR, words)
        return special(403)
    report(request, CRIT, words)
    return special(500)


def _slash(request: Request, uri: str) -> Answer:
    """A directory asked for without its slash."""
    from penstock.http.uri import escape_uri

    answer = special(301)
    path = escape_uri(uri) + "/"
    answer.location = f"{path}?{request.args}" if request.args else path
    return answer


@block("types", where=HTTP_LEVELS, nginx=PAGE)
def types(scope: Scope, directive: Directive) -> None:
    """Media types by extension: `text/html html htm;`. The block replaces the one of the level above."""
    table: dict[str, str] = scope.own.setdefault(Files, {}).setdefault("types", {})
    for line in directive.block or ():
        for word in line.args:
            extension = word.text.lower()
            if extension in table and table[extension] != line.name.text:
                scope.compilation.problems.warn(
                    f'duplicate extension "{word.text}", content type: "{line.name.text}", '
                    f'previous content type: "{table[extension]}"',
                    word.span,
                )
            table[extension] = line.name.text


