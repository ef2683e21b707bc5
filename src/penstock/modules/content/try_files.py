"""The first file that is there: `try_files` (nginx: ngx_http_try_files_module)."""

from __future__ import annotations

import errno
import stat
from dataclasses import dataclass

from penstock.config.kinds import custom
from penstock.config.os_errors import os_failure
from penstock.config.registry import LOCATION, SERVER
from penstock.config.scope import Call
from penstock.config.settings import NOT, Settings, directive, phase
from penstock.config.tree import Word
from penstock.config.values import decimal
from penstock.config.variables import Template
from penstock.http.request import Outcome, Redirect, Request
from penstock.modules.core.document_root import Files
from penstock.modules.core.error_pages import ended_with
from penstock.modules.core.files.paths import ups, within
from penstock.modules.core.files.symlinks import call_of, status_of
from penstock.modules.core.http_core import HttpCore
from penstock.observe.errorlog import CRIT, report
from penstock.plan import phases

PAGE = "ngx_http_core_module.html"
ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})


@dataclass(frozen=True, slots=True)
class Try:
    """A name to look for below the root; `folder` says that it has to be a directory."""

    name: Template
    folder: bool


@dataclass(frozen=True, slots=True)
class TryFiles:
    """What to look for, and where to go when nothing is there: a code, or a path or named location."""

    tries: tuple[Try, ...]
    code: int | None
    last: Template


def _try_files(call: Call) -> TryFiles:
    *words, last = call.args
    tries = tuple(_try(call, word) for word in words)
    code = None
    if last.text.startswith("="):
        code = decimal(last.text[1:])
        if code is None or code > 999:
            raise call.fail(f'invalid code "{last.text}"', last, hint="a status such as =404")
    return TryFiles(tries, code, call.template(last))


def _try(call: Call, word: Word) -> Try:
    folder = word.text.endswith("/")
    if folder:
        word = word._replace(text=word.text[:-1])
    return Try(call.template(word), folder)


class FirstFile(Settings):
    """Files and directories (with a final slash) are looked for in their order. No level inherits it."""

    wanted: TryFiles | None = directive(
        "try_files",
        where=SERVER | LOCATION,
        takes=custom(_try_files, least=2, most=None, syntax="file ... (uri | =code | @name)"),
        inherit=NOT,
        nginx=PAGE,
    )

    @phase(phases.PRECONTENT, when=lambda self: self.wanted)
    def find(self, request: Request) -> Outcome:
        """Make the path that of the first file there is, or go on elsewhere."""
        wanted = self.wanted
        assert wanted is not None
        files = request.location[Files]
        base = files.root if files.alias is None else files.alias
        assert base is not None
        root = base.evaluate(request)
        for each in wanted.tries:
            name = _below(each.name, request, files.aliased)
            path = root + name
            if "/.." in path:
                path = within(request, path, files.climbs + ups(each.name.text))
            if _is_there(request, path, folder=each.folder):
                _use_file(request, files, name, folder=each.folder)
                return None
        if wanted.code is not None:
            return ended_with(wanted.code)
        uri = _below(wanted.last, request, files.aliased)
        if uri.startswith("@"):
            return Redirect(name=uri)
        path, _, args = uri.partition("?")
        return Redirect(path, args)


def _below(template: Template, request: Request, aliased: str) -> str:
    """A name as it stands below the root. With `alias`, what a variable repeats of the location goes."""
    name = template.evaluate(request)
    if aliased and template.literal is None and name.startswith(aliased):
        return name[len(aliased) :]
    return name


def _use_file(request: Request, files: Files, name: str, *, folder: bool) -> None:
    if files.alias is None:
        request.uri = name
    elif not files.by_regex:
        request.uri = request.uri[: len(files.aliased)] + name
    elif not folder:
        request.uri = name
        request.add_uri_to_alias = True


def _is_there(request: Request, path: str, *, folder: bool) -> bool:
    try:
        mode = status_of(request, path, request.location[HttpCore].links).st_mode
    except OSError as error:
        if error.errno not in ABSENT:
            report(request, CRIT, os_failure(call_of(error, "stat()"), error, path))
        return False
    except ValueError:  # a zero byte is in no file's name
        return False
    return stat.S_ISDIR(mode) == folder
