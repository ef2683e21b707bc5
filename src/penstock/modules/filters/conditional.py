"""Conditional requests: If-Modified-Since and its kin (nginx: ngx_http_not_modified_filter_module; RFC 9110, 13)."""

from __future__ import annotations

from penstock.config.settings import Settings, phase
from penstock.http.cache.answer import KeptAnswer
from penstock.http.etag import matches, matches_weakly, modified_after, modified_exactly, unmodified
from penstock.http.request import Answer, Request
from penstock.modules.core.http_core import HttpCore
from penstock.plan import phases


class Conditional(Settings):
    """Nothing to set; `if_modified_since` and `etag` are the core's."""

    @phase(phases.HEADERS, when=lambda self: True)
    def judge(self, request: Request, answer: Answer) -> None:
        """Turn a 200 into a 304 or 412 where the client's conditions say so."""
        if answer.status != 200 or not (answer.allow_ranges or _is_kept(answer)) or request.parent is not None:
            return
        fields = request.head.fields
        modified = answer.modified_at
        unmodified_since = fields.get("if-unmodified-since")
        if unmodified_since is not None and not unmodified(unmodified_since, modified):
            return fail_precondition(answer)
        wanted = fields.get("if-match")
        if wanted is not None and not matches(wanted, answer.etag):
            return fail_precondition(answer)
        since = fields.get("if-modified-since")
        known = fields.get("if-none-match")
        if since is None and known is None:
            return None
        if since is not None and _modified(since, modified, request.location[HttpCore].if_modified_since):
            return None
        if known is not None and not matches_weakly(known, answer.etag):
            return None
        drop_body(answer)
        answer.status = 304
        answer.content_type = None
        return None


def _is_kept(answer: Answer) -> bool:
    return type(answer) is KeptAnswer and answer.conditional


def _modified(since: str, modified: int | None, rule: str) -> bool:
    if rule == "off":
        return True
    return modified_exactly(since, modified) if rule == "exact" else modified_after(since, modified)


def drop_body(answer: Answer) -> None:
    """Take out the body that will not be sent. The request holds what it is made of."""
    answer.body = b""
    answer.length = None
    answer.reason = None  # a backend's words are about another status
    answer.allow_ranges = False


def fail_precondition(answer: Answer) -> None:
    """Put a 412 in place of the answer."""
    drop_body(answer)
    answer.status = 412
    answer.special = True
    answer.last_modified = answer.etag = None
