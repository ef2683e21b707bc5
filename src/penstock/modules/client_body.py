"""Reading a client's body to its end before anybody uses it, in memory or in a file (nginx: ngx_http_core_module)."""

from __future__ import annotations

from penstock.http.request import Request
from penstock.modules.http_core import HttpCore
from penstock.observe.errorlog import WARN, report
from penstock.upstream.spool import Spooled, TempFile, spool


async def read_whole(request: Request, folder: str) -> Spooled:
    """The body, which is the request's from then on. `folder`: where files go if `client_body_temp_path` says nothing.

    Raises what reading from the client raises, and `OSError` for the file.
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
    return whole
