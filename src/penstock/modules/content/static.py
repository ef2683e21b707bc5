"""The answer from a file (nginx: ngx_http_static_module)."""

from __future__ import annotations

import errno
import os
import stat

from penstock.config.os_errors import os_failure
from penstock.config.settings import Settings, phase
from penstock.http.dates import http_date
from penstock.http.request import Answer, FilePart, Outcome, Request, special
from penstock.modules.core.document_root import Files
from penstock.modules.core.files.symlinks import call_of, open_file
from penstock.modules.core.http_core import HttpCore
from penstock.observe.errorlog import ALERT, CRIT, ERROR, report
from penstock.plan import phases


class StaticFiles(Settings):
    """The answer from a file, where nothing else answers."""

    @phase(phases.CONTENT, when=lambda self: True)
    def serve(self, request: Request) -> Outcome:
        """Answer GET and HEAD from a file; a directory without its slash is redirected to it."""
        uri = request.uri
        if request.method not in ("GET", "HEAD", "POST"):
            return special(405)
        if uri.endswith("/"):
            return None
        request.go_on()
        return file_of(request)


def mapped(request: Request, uri: str) -> str | None:
    """Return the file for a path of a request's location; None where `alias` can not tell, which is logged."""
    files = request.location[Files]
    if files.alias is not None and not request.valid_location:
        name = request.location.name
        report(request, ALERT, f'"alias" cannot be used in location "{name}" where URI was rewritten')
        return None
    return files.path(request, uri)


def file_of(request: Request) -> Outcome:
    """Make the answer from the file for a request's path."""
    path = mapped(request, request.uri)
    if path is None:
        return special(500)
    return open_answer(request, path, request.uri, request.location[Files])


class OpenedFile:
    """An open regular file, held by the request that it answers."""

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
    """Make the answer with that file's content, or nginx's refusal."""
    core = request.location[HttpCore]
    try:
        fd = open_file(request, path, core.links)
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
    return _of_file(request, fd, status, files.type_of(uri, core.default_type), core)


def open_beside(request: Request, path: str, uri: str, files: Files) -> Answer | None:
    """Make the answer with the content of `path` and the type of `uri`; None where there is no such file."""
    core = request.location[HttpCore]
    try:
        fd = open_file(request, path, core.links)
    except OSError as error:
        if error.errno not in ABSENT:
            _failed(request, core, path, error)
        return None
    except ValueError:
        return None
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode):
        return _of_file(request, fd, status, files.type_of(uri, core.default_type), core)
    os.close(fd)
    if stat.S_ISDIR(status.st_mode):
        return None
    report(request, CRIT, f'"{path}" is not a regular file')
    return special(404)


def _of_file(
    request: Request, fd: int, status: os.stat_result, content_type: str | None, core: HttpCore
) -> Answer:
    file = OpenedFile(fd)
    request.hold(file)
    answer = Answer(200, FilePart(file, 0, status.st_size), length=status.st_size)
    answer.content_type = content_type
    stamp(answer, status.st_mtime, status.st_size, core)
    answer.allow_ranges = True
    return answer


def stamp(answer: Answer, modified: float, size: int, core: HttpCore) -> None:
    """Add Last-Modified and, with `etag on`, nginx's tag: time and size in hexadecimal."""
    answer.modified_at = int(modified)
    answer.last_modified = http_date(int(modified))
    if core.etag:
        answer.etag = f'"{int(modified):x}-{size:x}"'


def _failed(request: Request, core: HttpCore, path: str, error: OSError) -> Answer:
    number = error.errno or 0
    words = os_failure(call_of(error, "open()"), number, path)
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
