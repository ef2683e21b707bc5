"""Files that have been compressed before: `gzip_static` (nginx: ngx_http_gzip_static_module)."""

from __future__ import annotations

from penstock.config.kinds import choice
from penstock.config.registry import HTTP_LEVELS
from penstock.config.settings import Settings, directive, phase
from penstock.http.request import Answer, Outcome, Request
from penstock.modules.content.static import StaticFiles, open_beside
from penstock.modules.core.document_root import Files
from penstock.modules.filters.conditional import drop_body
from penstock.modules.filters.gzip_accepted import GzipAccepted
from penstock.plan import phases

PAGE = "ngx_http_gzip_static_module.html"


class GzipStatic(Settings):
    """Whether `page.html.gz` is sent in place of `page.html`."""

    mode: str = directive(
        "gzip_static", where=HTTP_LEVELS, takes=choice("off", "on", "always"), default="off", nginx=PAGE
    )

    @phase(phases.CONTENT, when=lambda self: self.mode != "off")
    def serve(self, request: Request) -> Outcome:
        """Answer with the compressed file, where there is one and the client takes it; `always` does not ask."""
        wanted = self.mode != "always" and request.location[GzipAccepted].accepted(request, None)
        return packed(request, ".gz", "gzip", wanted=wanted, always=self.mode == "always")


def packed(request: Request, suffix: str, coding: str, *, wanted: bool, always: bool) -> Outcome:
    """Answer with the file of that suffix, where there is one and the client takes it, or nobody asks it (`always`)."""
    uri = request.uri
    if request.method not in ("GET", "HEAD") or uri.endswith("/"):
        return None
    rules = request.location[GzipAccepted]
    if not wanted and not always and not rules.vary:
        return None
    files = request.location[Files]
    answer = open_beside(request, files.path(request, uri) + suffix, uri, files)
    if answer is None or answer.special:
        return answer
    if not wanted and not always:
        return _plain(request, answer, rules)
    if not always:
        rules.announce(answer)
    answer.headers.append(("Content-Encoding", coding))
    return answer


def _plain(request: Request, packed: Answer, rules: GzipAccepted) -> Outcome:
    """The file itself, for a client that does not take the other; caches shall know that there are two."""
    drop_body(packed)
    answer: Outcome = request.location[StaticFiles].serve(request)
    if isinstance(answer, Answer) and not answer.special:
        rules.announce(answer)
    return answer
