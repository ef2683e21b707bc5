"""Videos that begin in their middle: `flv` (nginx: ngx_http_flv_module)."""

from __future__ import annotations

from penstock.config.kinds import present
from penstock.config.registry import LOCATION
from penstock.config.settings import NOT, Settings, directive, last, phase
from penstock.config.values import decimal
from penstock.http.request import Answer, FilePart, Outcome, Request, special
from penstock.http.uri import arg
from penstock.modules.content.static import file_of
from penstock.plan import phases

PAGE = "ngx_http_flv_module.html"
HEADER = b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00"
"""What a file begins with, and a part of one, too: version 1, with sound and pictures, no size of a tag before."""


class Flv(Settings):
    """Files that `?start=` cuts to what stands behind so many bytes, with a header of their own."""

    enabled: bool = directive(
        "flv",
        where=LOCATION,
        takes=present,
        default=False,
        inherit=NOT,
        nginx=PAGE,
        again=last,
    )

    @phase(phases.CONTENT, when=lambda self: self.enabled)
    def serve(self, request: Request) -> Outcome:
        """Answer GET and HEAD from a file, from `start` on; folders are others' affair."""
        if request.method not in ("GET", "HEAD"):
            return special(405)
        if request.uri.endswith("/"):
            return None
        found = file_of(request)
        if not isinstance(found, Answer) or not isinstance(found.body, FilePart):
            return found
        part = found.body
        start = decimal(arg(request.args, "start") or "") or 0
        if 0 < start < part.count:
            found.body = [HEADER, FilePart(part.file, start, part.count - start)]
            found.length = len(HEADER) + part.count - start
        return found
