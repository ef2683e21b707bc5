"""Files that clients write: `dav_methods` and what belongs to it (nginx: ngx_http_dav_module; RFC 4918).

PUT and MKCOL make files and folders, DELETE removes, COPY and MOVE take them elsewhere within the location. What is
uploaded is a temporary file until all of it is there.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from functools import partial
from typing import Final

from penstock.config.kinds import custom, flag, number
from penstock.config.os_errors import os_failure, os_reason
from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directive, phase, united
from penstock.http.dates import parse_date
from penstock.http.request import Answer, Outcome, Request, special
from penstock.http.uri import escape_uri
from penstock.modules.content.dav_target import (
    INFINITY,
    DavTarget,
    depth_of,
    keep_apart,
    one_slash,
    overwrites,
    target_of,
)
from penstock.modules.content.dav_tree import DavFailed, Say, copy_file, copy_tree, remove_tree
from penstock.modules.content.static import ABSENT, mapped
from penstock.modules.core.client_body import body_folder, not_kept
from penstock.modules.core.files.access import ACCESS_BITS, OWN, folder_access
from penstock.modules.core.http_core import HttpCore
from penstock.observe.errorlog import CRIT, ERROR, report
from penstock.plan import phases
from penstock.upstream.cache.stored import StoredFile
from penstock.upstream.exchange.temp_file import CannotKeep

PAGE = "ngx_http_dav_module.html"
METHODS: Final = ("PUT", "DELETE", "MKCOL", "COPY", "MOVE")


def _methods(call: Call) -> frozenset[str]:
    found: set[str] = set()
    for word in call.args:
        text = word.text.upper()
        if text != "OFF" and text not in METHODS:
            raise call.fail(
                f'invalid value "{word.text}"', word, hint="it may be: off, " + ", ".join(METHODS)
            )
        found.add(text)
    return frozenset(found - {"OFF"})


class Dav(Settings):
    """Which methods change the files of a location. Whoever may use it may write: say who by `limit_except` or a
    password.
    """

    methods: frozenset[str] = directive(
        "dav_methods",
        where=HTTP_LEVELS,
        takes=custom(_methods, most=None, syntax="off | PUT | DELETE | MKCOL | COPY | MOVE ..."),
        default=frozenset(),
        nginx=PAGE,
        shown="off",
        again=united,
    )
    access: int = directive(
        "dav_access", where=HTTP_LEVELS, takes=ACCESS_BITS, default=OWN, nginx=PAGE, shown="user:rw"
    )
    full_path: bool = directive(
        "create_full_put_path",
        where=HTTP_LEVELS,
        takes=flag,
        default=False,
        nginx=PAGE,
        doc="Whether PUT makes the folders that are missing.",
    )
    depth: int = directive(
        "min_delete_depth",
        where=HTTP_LEVELS,
        takes=number,
        default=0,
        nginx=PAGE,
        doc="DELETE needs a path with at least so many parts.",
    )

    def finish(self, scope: Scope) -> None:
        """Find the folder for uploads."""
        if self.methods:
            self.folder = body_folder(scope)

    @phase(phases.CONTENT, when=lambda self: self.methods)
    async def change(self, request: Request) -> Outcome:
        """Do what a method asks for; others are answered elsewhere."""
        method = request.method
        if method not in self.methods:
            return None
        said: list[str] = []
        try:
            if method == "PUT":
                return await self._put(request)
            if request.body.length != 0:
                name = "COPY and MOVE" if method in ("COPY", "MOVE") else method
                verb = "are" if method in ("COPY", "MOVE") else "is"
                raise DavFailed(415, ERROR, f"{name} with body {verb} unsupported")
            path = _path(request)
            if method == "MKCOL":
                return self._make_folder(request, path)
            # In a thread: there may be much of it, and others go on meanwhile.
            if method == "DELETE":
                work: Callable[[], Answer] = partial(self._delete, request, path, said.append)
            else:
                work = self._elsewhere(request, path, said.append)
            return await asyncio.get_running_loop().run_in_executor(None, work)
        except DavFailed as failed:
            if failed.words:
                report(request, failed.level, failed.words)
            return special(failed.status)
        except ValueError:  # a zero byte is in no file's name
            return special(400)
        finally:
            for words in said:
                report(request, CRIT, words)

    async def _put(self, request: Request) -> Answer:
        if request.uri.endswith("/"):
            raise DavFailed(409, ERROR, "cannot PUT to a collection")
        if "content-range" in request.head.fields:
            raise DavFailed(501, ERROR, "PUT with range is unsupported")
        head = request.head
        if request.body.length == 0 and head.content_length is None:
            raise DavFailed(500, ERROR, "PUT request body must be in a file")
        path = _path(request)
        modified = parse_date(head.fields.get("date", ""))
        folder = request.location[HttpCore].client_body_temp_path or self.folder
        try:
            upload = StoredFile(folder, path, self.access, modified, makes_folders=self.full_path)
        except CannotKeep as error:
            not_kept(request, error)
            return special(500)
        request.hold(upload)
        request.go_on()
        try:
            while piece := await request.body.read():
                upload.append(piece)
            there = _is_there(path)
            upload.complete(0)
        except CannotKeep as error:
            not_kept(request, error)
            return special(507 if error.errno == errno.ENOSPC else 500)
        return Answer(204) if there else _created(request)

    def _delete(self, request: Request, path: str, say: Say) -> Answer:
        uri = request.uri
        if self.depth:
            parts = uri.count("/") - uri.endswith("/")
            if parts < self.depth:
                raise DavFailed(409, ERROR, f"insufficient URI depth:{uri.count('/')} to DELETE")
        try:
            mode = os.lstat(path.encode("latin-1")).st_mode
        except OSError as error:
            raise failed_by("lstat()", error, path, 409 if error.errno == errno.ENOTDIR else 404) from None
        if not stat.S_ISDIR(mode):
            if depth_of(request, 0) not in (0, INFINITY):
                raise DavFailed(400, ERROR, '"Depth" header must be 0 or infinity')
            _remove(path, say, folder=False)
            return Answer(204)
        if not uri.endswith("/"):
            raise DavFailed(409, ERROR, f'DELETE "{path}" failed ({os_reason(errno.EISDIR)})')
        if depth_of(request, INFINITY) != INFINITY:
            raise DavFailed(400, ERROR, '"Depth" header must be infinity')
        _remove(path.rstrip("/"), say, folder=True)
        return Answer(204)

    def _make_folder(self, request: Request, path: str) -> Answer:
        if not request.uri.endswith("/"):
            raise DavFailed(409, ERROR, "MKCOL can create a collection only")
        bare = path.rstrip("/")
        try:
            os.mkdir(bare.encode("latin-1"), folder_access(self.access))  # noqa: PTH102  bytes
        except OSError as error:
            raise failed_by("mkdir()", error, bare, 409) from None
        return _created(request)

    def _elsewhere(self, request: Request, path: str, say: Say) -> Callable[[], Answer]:
        """What COPY and MOVE do, once it is known what is asked for."""
        target = target_of(request)
        moves = request.method == "MOVE"
        depth = depth_of(request, INFINITY)
        if depth != INFINITY and (moves or depth != 0):
            words = "infinity" if moves else "0 or infinity"
            raise DavFailed(400, ERROR, f'"Depth" header must be {words}')
        over = overwrites(request)
        path = one_slash(path)
        keep_apart(request, path, target)
        return partial(self._take_elsewhere, request, path, target, say, over=over)

    def _take_elsewhere(self, request: Request, path: str, target: DavTarget, say: Say, *, over: bool) -> Answer:
        moves = request.method == "MOVE"
        there = self._look_at(request, target, over=over)
        source = path.rstrip("/") if request.uri.endswith("/") else path
        try:
            status = os.lstat(path.encode("latin-1"))
        except OSError as error:
            raise failed_by("lstat()", error, path, 404) from None
        if stat.S_ISDIR(status.st_mode):
            return self._take_folder(request, source, status, target, say, there=there)
        return self._take_file(source, target, moves=moves)

    def _look_at(self, request: Request, target: DavTarget, *, over: bool) -> int | None:
        """What is at the place where something is to go: the mode of it, None for nothing."""
        try:
            mode = os.lstat(target.path.encode("latin-1")).st_mode
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise failed_by("lstat()", error, target.path, 404) from None
            return None
        if stat.S_ISDIR(mode) and not target.folder:
            words = f'"{request.uri}" could not be {request.method}ed to collection "{target.said}"'
            raise DavFailed(409, ERROR, words)
        if not over:
            raise DavFailed(412, ERROR, f'"{target.path}" could not be created ({os_reason(errno.EEXIST)})')
        return mode

    def _take_folder(
        self,
        request: Request,
        source: str,
        status: os.stat_result,
        target: DavTarget,
        say: Say,
        *,
        there: int | None,
    ) -> Answer:
        moves = request.method == "MOVE"
        if not request.uri.endswith("/"):
            raise DavFailed(400, ERROR, f'"{request.uri}" is collection')
        if there is not None:
            _remove(target.path, say, folder=stat.S_ISDIR(there))
        if moves:
            try:
                os.rename(source.encode("latin-1"), target.path.encode("latin-1"))  # noqa: PTH104  bytes
                return _empty(201)
            except OSError:
                pass  # it may be another file system: it is copied, and removed then
        try:
            os.mkdir(target.path.encode("latin-1"), stat.S_IMODE(status.st_mode))  # noqa: PTH102  bytes
        except OSError as error:
            raise failed_by("mkdir()", error, target.path, 404) from None
        whole = copy_tree(source, target.path, say)
        if moves:
            if not whole:
                raise DavFailed(500, ERROR, f'"{source}" is not removed, as not all of it could be copied')
            _remove(source, say, folder=True)
        return _empty(201)

    def _take_file(self, source: str, target: DavTarget, *, moves: bool) -> Answer:
        try:
            if moves:
                self._rename(source, target.path)
            else:
                copy_file(source, target.path)
        except OSError as error:
            raise DavFailed(500, CRIT, os_failure("rename()" if moves else "open()", error, target.path)) from None
        return Answer(204)

    def _rename(self, source: str, path: str) -> None:
        pair = source.encode("latin-1"), path.encode("latin-1")
        try:
            os.rename(*pair)  # noqa: PTH104  bytes
        except FileNotFoundError:
            os.makedirs(os.path.dirname(pair[1]), folder_access(self.access), exist_ok=True)  # noqa: PTH103  bytes
            os.rename(*pair)  # noqa: PTH104  bytes
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            copy_file(source, path)
            os.unlink(pair[0])  # noqa: PTH108  bytes


def failed_by(call: str, error: OSError, path: str, absent: int) -> DavFailed:
    """Make nginx's answer to what the system has refused; `absent` is the status where something is not there."""
    words = os_failure(call, error, path)
    if error.errno in ABSENT:
        return DavFailed(absent, ERROR, words)
    if error.errno in (errno.EACCES, errno.EPERM):
        return DavFailed(403, ERROR, words)
    if error.errno == errno.EEXIST:
        return DavFailed(405, ERROR, words)
    return DavFailed(507 if error.errno == errno.ENOSPC else 500, CRIT, words)


def _path(request: Request) -> str:
    path = mapped(request, request.uri)
    if path is None:
        raise DavFailed(500, ERROR, "")
    return path


def _is_there(path: str) -> bool:
    try:
        mode = os.stat(path.encode("latin-1")).st_mode
    except OSError:
        return False
    if stat.S_ISDIR(mode):
        raise DavFailed(409, ERROR, f'"{path}" could not be created ({os_reason(errno.EISDIR)})')
    return True


def _remove(path: str, say: Say, *, folder: bool) -> None:
    name = path.encode("latin-1")
    try:
        if not folder:
            os.unlink(name)  # noqa: PTH108  bytes
            return
        remove_tree(path, say)
        os.rmdir(name)  # noqa: PTH106  bytes
    except OSError as error:
        raise failed_by("rmdir()" if folder else "unlink()", error, path, 404) from None


def _empty(status: int) -> Answer:
    answer = Answer(status)
    answer.length = 0
    return answer


def _created(request: Request) -> Answer:
    answer = _empty(201)
    answer.location = escape_uri(request.uri)
    return answer
