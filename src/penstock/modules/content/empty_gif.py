"""A transparent picture of one pixel (nginx: ngx_http_empty_gif_module)."""

from __future__ import annotations

from penstock.config.kinds import present
from penstock.config.registry import LOCATION
from penstock.config.settings import NOT, Settings, directive, last, phase
from penstock.http.dates import http_date
from penstock.http.request import Answer, Outcome, Request, special
from penstock.plan import phases

PAGE = "ngx_http_empty_gif_module.html"
PIXEL = bytes.fromhex(
    "47494638396101000100800100000000ffffff21f90401000001002c000000000100010000020"
    "24c01003b"
)  # fmt: skip
"""GIF89a: a palette of two colours, one of them transparent, and one pixel of it."""

MADE = 23349600
"""Its Last-Modified, the same everywhere and always: 28 September 1970."""


class EmptyGif(Settings):
    """An answer that is always the same and never costs a file."""

    enabled: bool = directive(
        "empty_gif",
        where=LOCATION,
        takes=present,
        default=False,
        inherit=NOT,
        nginx=PAGE,
        again=last,
    )

    @phase(phases.CONTENT, when=lambda self: self.enabled)
    def serve(self, request: Request) -> Outcome:
        """Answer GET and HEAD with the picture."""
        if request.method not in ("GET", "HEAD"):
            return special(405)
        answer = Answer(200, PIXEL, content_type="image/gif")
        answer.modified_at = MADE
        answer.last_modified = http_date(MADE)
        return answer
