"""Files that have been compressed before: `gzip_static` (nginx: ngx_http_gzip_static_module)."""

from __future__ import annotations

from penstock.config.kinds import choice
from penstock.config.registry import HTTP_LEVELS
from penstock.config.settings import Settings, directive, phase
from penstock.http.request import Answer, Outcome, Request
from penstock.modules.conditional import drop_body
from penstock.modules.gzip_accepted import GzipAccepted
from penstock.modules.static import Files, open_beside
from penstock.plan import phases

PAGE = "ngx_http_gzip_static_module.html"


class GzipStatic(Settings):
    """Whether `page.html.gz` is sent in place of `page.html`."""

    mode: str = directive(
        "gzip_static", where=HTTP_LEVELS, takes=choice("off", "on", "always"), default="off", nginx=PAGE
    )

    @phase(phases.CONTENT, when=lambda self: self.mode != "off")
    def serve(self, request: Request) -> Outcome:
        """The compressed file, where there is one and the client takes it; `always` does not ask."""
        uri = request.uri
        if request.method not in ("GET", "HEAD") or uri.endswith("/"):
            return None
        rules = request.location[GzipAccepted]
        wanted = self.mode == "always" or rules.accepted(request, None)
        if not wanted and not rules.vary:
            return None
        files = request.location[Files]
        answer = open_beside(request, files.path(request, uri) + ".gz", uri, files)
        if answer is None or answer.special:
            return answer
        if not wanted:
            return _plain(request, answer, files, rules)
        if self.mode == "on":
            rules.announce(answer)
        answer.headers.append(("Content-Encoding", "gzip"))
        return answer


def _plain(request: Request, packed: Answer, files: Files, rules: GzipAccepted) -> Outcome:
    """The file itself, for a client that does not take the other; caches shall know that there are two."""
    drop_body(packed)
    answer: Outcome = files.serve(request)
    if isinstance(answer, Answer) and not answer.special:
        rules.announce(answer)
    return answer
