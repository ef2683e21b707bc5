"""Reading a client's body to its end before anybody uses it, in memory or in a file (nginx: ngx_http_core_module)."""

from __future__ import annotations

from penstock.config.scope import Scope
from penstock.http.request import Request
from penstock.modules.core.http_core import HttpCore
from penstock.modules.core.temp_paths import default_folder
from penstock.observe.errorlog import CRIT, WARN, report
from penstock.upstream.exchange.spool import Spooled, spool
from penstock.upstream.exchange.temp_file import CannotKeep, TempFile, TempFolder


def body_folder(scope: Scope) -> TempFolder:
    """Return the folder for bodies that are read at this level: for a module's `finish`, where it will read them."""
    given = scope.settings(HttpCore).client_body_temp_path
    return given or default_folder(scope.compilation, "client_body_temp", "client_body_temp_path")


def not_kept(request: Request, error: CannotKeep) -> None:
    """Say why a request is answered with 500."""
    report(request, CRIT, f"a client request body can not be written to a temporary file: {error}")


async def read_whole(request: Request, folder: TempFolder) -> Spooled:
    """Read the whole body, which is the request's from then on. `folder`: where files go if `client_body_temp_path`
    says nothing.

    Raises what reading from the client raises, and `CannotKeep` for the file.
    """
    body = request.body
    if isinstance(body, Spooled):
        return body
    core = request.location[HttpCore]
    kept = core.client_body_in_file_only

    def make() -> TempFile:
        file = TempFile(core.client_body_temp_path or folder, named=kept != "off")
        file.kept = kept == "on"
        report(request, WARN, f"a client request body is buffered to a temporary file {file.path}")
        return file

    request.body = whole = await spool(body, core.client_body_buffer_size, make, always=kept != "off")
    if whole.file is not None:
        request.hold(whole)
    return whole
