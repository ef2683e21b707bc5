"""Conditional requests: If-Modified-Since and its kin (nginx: ngx_http_not_modified_filter_module; RFC 9110, section 13)."""

from __future__ import annotations

from penstock.config.settings import Settings, phase
from penstock.http.dates import parse_date
from penstock.http.request import Answer, FilePart, Request, special
from penstock.modules.http_core import HttpCore
from penstock.plan import phases


class Conditional(Settings):
    """Nothing to set; `if_modified_since` and `etag` are the core's."""

    @phase(phases.HEADERS, when=lambda self: True)
    def judge(self, request: Request, answer: Answer) -> None:
        """Turn a 200 into a 304 or 412 where the client's conditions say so."""
        if answer.status != 200 or request.parent is not None or not answer.allow_ranges:
            return
        fields = request.head.fields
        if "if-unmodified-since" in fields and not _unmodified(fields["if-unmodified-since"], answer):
            return _replace(answer, 412)
        if "if-match" in fields and not matches(fields["if-match"], answer.etag, weak=False):
            return _replace(answer, 412)
        since = fields.get("if-modified-since")
        tags = fields.get("if-none-match")
        if since is None and tags is None:
            return None
        if since is not None and _modified(since, answer, request.location[HttpCore].if_modified_since):
            return None
        if tags is not None and not matches(tags, answer.etag, weak=True):
            return None
        _drop_body(answer)
        answer.status = 304
        return None


def _unmodified(value: str, answer: Answer) -> bool:
    if answer.modified_at is None:
        return True
    when = parse_date(value)
    return when is not None and answer.modified_at <= when


def _modified(value: str, answer: Answer, rule: str) -> bool:
    if answer.modified_at is None or rule == "off":
        return True
    when = parse_date(value)
    if when == answer.modified_at:
        return False
    return rule == "exact" or when is None or when < answer.modified_at


def matches(listed: str, etag: str | None, *, weak: bool) -> bool:
    """Whether a list of entity tags (or `*`) names this one (RFC 9110, section 8.8.3)."""
    if listed == "*":
        return True
    if etag is None:
        return False
    own = etag
    if weak and own.startswith("W/"):
        own = own[2:]
    for tag in listed.split(","):
        given = tag.strip()
        if weak and given.startswith("W/"):
            given = given[2:]
        if given == own:
            return True
    return False


def _drop_body(answer: Answer) -> None:
    body = answer.body
    for part in body if isinstance(body, list) else [body]:
        if isinstance(part, FilePart):
            part.file.close()
    answer.body = b""
    answer.length = None
    answer.content_type = None
    answer.allow_ranges = False


def _replace(answer: Answer, status: int) -> None:
    _drop_body(answer)
    page = special(status)
    answer.status = page.status
    answer.special = True
    answer.last_modified = answer.etag = None
