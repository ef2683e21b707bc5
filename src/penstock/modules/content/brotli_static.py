"""Files that have been compressed with Brotli before: `brotli_static` (the module ngx_brotli by others)."""

from __future__ import annotations

from penstock.config.kinds import choice
from penstock.config.registry import HTTP_LEVELS, IF_LOCATION
from penstock.config.settings import Settings, directive, phase
from penstock.http.request import Outcome, Request
from penstock.modules.content.gzip_static import packed
from penstock.modules.filters.gzip_accepted import asks_for
from penstock.plan import phases

MODULE = "brotli"
PAGE = "https://github.com/google/ngx_brotli"


class BrotliStatic(Settings):
    """Whether `page.html.br` is sent in place of `page.html`."""

    static_mode: str = directive(
        "brotli_static",
        where=HTTP_LEVELS | IF_LOCATION,
        takes=choice("off", "on", "always"),
        default="off",
        nginx=PAGE,
        doc="It needs no library.",
    )

    @phase(phases.CONTENT, when=lambda self: self.static_mode != "off")
    def serve(self, request: Request) -> Outcome:
        """Answer with the compressed file, where there is one and the client takes it; `always` does not ask."""
        always = self.static_mode == "always"
        wanted = request.parent is None and asks_for("br", request.head.fields.get("accept-encoding", ""))
        return packed(request, ".br", "br", wanted=wanted, always=always)
