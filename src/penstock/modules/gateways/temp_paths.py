"""Where temporary files go of what FastCGI, SCGI and uwsgi servers answer: `fastcgi_temp_path` and its kin.

They stand apart from the rest of their modules: who names a folder for each kind of temporary file, as containers do
whose user may not write elsewhere, seldom has such a server, and would have 0.3 MiB of these modules in each process.
"""

from __future__ import annotations

from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Scope
from penstock.config.settings import Settings, directive
from penstock.modules.core.temp_paths import temp_path
from penstock.upstream.exchange.temp_file import TempFolder


class GatewayFolders(Settings):
    """What is written down of these; None where nothing is."""

    fastcgi: TempFolder | None = directive(
        "fastcgi_temp_path", where=HTTP_LEVELS, takes=temp_path, nginx="ngx_http_fastcgi_module.html"
    )
    scgi: TempFolder | None = directive(
        "scgi_temp_path", where=HTTP_LEVELS, takes=temp_path, nginx="ngx_http_scgi_module.html"
    )
    uwsgi: TempFolder | None = directive(
        "uwsgi_temp_path", where=HTTP_LEVELS, takes=temp_path, nginx="ngx_http_uwsgi_module.html"
    )


def gateway_folder(scope: Scope, prefix: str) -> TempFolder | None:
    """Return the folder of the module whose directives begin so."""
    folders = scope.settings(GatewayFolders)
    return {"fastcgi": folders.fastcgi, "scgi": folders.scgi, "uwsgi": folders.uwsgi}[prefix]
