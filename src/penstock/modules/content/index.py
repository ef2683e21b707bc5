"""The file that stands for a directory: `index` (nginx: ngx_http_index_module)."""

from __future__ import annotations

import errno
import os
import stat

from penstock.config.kinds import custom
from penstock.config.os_errors import os_failure, os_reason
from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Call, Scope
from penstock.config.settings import WHOLE, Settings, directives, phase
from penstock.config.variables import Template
from penstock.http.request import Outcome, Redirect, Request, special
from penstock.modules.content.static import ABSENT, DENIED
from penstock.modules.core.document_root import Files
from penstock.modules.core.files.symlinks import call_of, status_of
from penstock.modules.core.http_core import HttpCore
from penstock.observe.errorlog import CRIT, ERROR, report
from penstock.plan import phases

PAGE = "ngx_http_index_module.html"


def _names(call: Call) -> tuple[Template, ...]:
    for number, word in enumerate(call.args):
        if not word.text:
            raise call.fail(f'index "{word.text}" in "index" directive is invalid', word)
        if word.text.startswith("/") and number != len(call.args) - 1:
            call.compilation.problems.warn('only the last index in "index" directive should be absolute', word.span)
    return tuple(call.template(word) for word in call.args)


class Index(Settings):
    """The first of these files that is there; the last may be a path of its own."""

    given: tuple[tuple[Template, ...], ...] = directives(
        "index",
        where=HTTP_LEVELS,
        takes=custom(_names, most=None, syntax="file ..."),
        inherit=WHOLE,
        nginx=PAGE,
        shown="index.html",
    )
    names: tuple[Template, ...] = ()

    def finish(self, scope: Scope) -> None:
        self.names = tuple(name for names in self.given for name in names)
        if not self.names:
            self.names = (scope.compilation.variables.template("index.html"),)

    @phase(phases.CONTENT, when=lambda self: True)
    def find(self, request: Request) -> Outcome:
        """Find the index that exists, for a path that ends in a slash, and go on with it."""
        uri = request.uri
        if not uri.endswith("/") or request.method not in ("GET", "HEAD", "POST"):
            return None
        files = request.location[Files]
        for template in self.names:
            name = template.evaluate(request)
            if name.startswith("/"):
                return Redirect(name)
            path = files.path(request, uri + name)
            try:
                status = status_of(request, path, request.location[HttpCore].links)
            except OSError as error:
                outcome = _missing(request, path, error)
                if outcome is not None:
                    return outcome
                continue
            except ValueError:
                continue
            if stat.S_ISREG(status.st_mode):
                return Redirect(uri + name)
        return None


def _missing(request: Request, path: str, error: OSError) -> Outcome:
    """What to do about an index that can not be opened: look on, or refuse."""
    number = error.errno or 0
    if number == errno.ENOENT:
        folder = os.path.dirname(path)
        try:
            status_of(request, folder, request.location[HttpCore].links)
        except OSError as missing:
            if missing.errno == errno.ELOOP:
                return special(403)
            if missing.errno in ABSENT:
                return _not_found(request, path, missing)
        return None
    if number in ABSENT:
        return _not_found(request, path, error)
    if number == errno.ELOOP:
        return special(403)
    if number in DENIED:
        report(request, ERROR, f'"{path}" is forbidden ({os_reason(number)})')
        return special(403)
    report(request, CRIT, os_failure(call_of(error, "stat()"), number, path))
    return special(500)


def _not_found(request: Request, path: str, error: OSError) -> Outcome:
    if request.location[HttpCore].log_not_found:
        report(request, ERROR, f'"{path}" is not found ({os_reason(error)})')
    return special(404)
