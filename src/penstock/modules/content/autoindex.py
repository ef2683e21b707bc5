"""Listings of directories: `autoindex` (nginx: ngx_http_autoindex_module)."""

from __future__ import annotations

import os
import re
import stat

from penstock.config.kinds import choice, flag
from penstock.config.os_errors import os_failure
from penstock.config.registry import HTTP_LEVELS
from penstock.config.settings import Settings, directive, phase
from penstock.http.request import Answer, Outcome, Request, special
from penstock.http.uri import arg
from penstock.modules.content.autoindex_pages import Entry, html, json, xml
from penstock.modules.content.static import ABSENT, DENIED
from penstock.modules.core.document_root import Files
from penstock.modules.filters.charset import Charset
from penstock.modules.filters.media_types import listed
from penstock.net.descriptors import with_room
from penstock.observe.errorlog import CRIT, ERROR, INFO, report
from penstock.plan import phases

PAGE = "ngx_http_autoindex_module.html"
TYPES = {"html": "text/html", "json": "application/json", "jsonp": "application/javascript", "xml": "text/xml"}
LONGEST_CALLBACK = 128
_callback = re.compile(r"[A-Za-z0-9_.]*", re.ASCII).fullmatch


class Autoindex(Settings):
    """What a path that ends in a slash shows where no index file is there."""

    enable: bool = directive("autoindex", where=HTTP_LEVELS, takes=flag, default=False, nginx=PAGE)
    format: str = directive("autoindex_format", where=HTTP_LEVELS, takes=choice(*TYPES), default="html", nginx=PAGE)
    exact_size: bool = directive("autoindex_exact_size", where=HTTP_LEVELS, takes=flag, default=True, nginx=PAGE)
    localtime: bool = directive("autoindex_localtime", where=HTTP_LEVELS, takes=flag, default=False, nginx=PAGE)

    @phase(phases.CONTENT, when=lambda self: self.enable)
    def show(self, request: Request) -> Outcome:
        """Answer with the listing of a directory, directories first."""
        if not request.uri.endswith("/") or request.method not in ("GET", "HEAD"):
            return None
        path = request.location[Files].path(request, request.uri)
        callback = ""
        if self.format == "jsonp":
            callback = arg(request.args, "callback") or ""
            if len(callback) > LONGEST_CALLBACK or not _callback(callback):
                what = "invalid" if len(callback) <= LONGEST_CALLBACK else "too long"
                report(request, INFO, f'client sent {what} callback name: "{callback}"')
                return special(400)
        try:
            entries = _entries(path)
        except (OSError, ValueError) as error:
            return not_listed(request, path, error)
        kind = "json" if self.format == "jsonp" and not callback else self.format
        answer = Answer(200, content_type=TYPES[kind])
        body = self._page(request, answer, kind, entries, callback)
        answer.body = body.encode("latin-1")
        answer.length = None
        return answer

    def _page(self, request: Request, answer: Answer, kind: str, entries: list[Entry], callback: str) -> str:
        if kind == "xml":
            answer.charset = "utf-8"
            return xml(entries)
        if kind != "html":
            return json(entries, callback)
        charset = request.location[Charset]
        said = charset.charset.evaluate(request) if charset.charset and listed(charset.types, answer) else ""
        return html(
            request.uri,
            entries,
            utf8=said.lower() == "utf-8",
            exact_size=self.exact_size,
            local_time=self.localtime,
        )


def _entries(path: str) -> list[Entry]:
    """What is in a directory, but names that begin with a dot. Raises `OSError`, and `ValueError` for a null byte."""
    found = []
    with with_room(lambda: os.scandir(path.encode("latin-1"))) as inside:
        for each in inside:
            if each.name.startswith(b"."):
                continue
            try:
                status = each.stat()
            except OSError:
                try:
                    status = each.stat(follow_symlinks=False)  # a link to nowhere is shown as what it is
                except OSError:
                    continue  # it was there a moment ago
            mode = status.st_mode
            kind = "directory" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"
            found.append(Entry(each.name.decode("latin-1"), kind, int(status.st_mtime), status.st_size))
    found.sort(key=lambda entry: (entry.kind != "directory", entry.name))
    return found


def not_listed(request: Request, path: str, error: OSError | ValueError) -> Outcome:
    """Refuse a directory that can not be read, as nginx does, with its line in the log."""
    number = getattr(error, "errno", None) or 0
    if isinstance(error, ValueError) or number in ABSENT or number in DENIED:
        report(request, ERROR, os_failure("opendir()", number, path))
        return special(403 if number in DENIED else 404)
    report(request, CRIT, os_failure("opendir()", number, path))
    return special(500)
