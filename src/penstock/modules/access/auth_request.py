"""Access by the word of a subrequest (nginx: ngx_http_auth_request_module)."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.config.kinds import custom, either, text
from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Call
from penstock.config.settings import Settings, directive, directives, phase
from penstock.config.variables import Setter, Template
from penstock.http.request import Outcome, Request, special
from penstock.modules.access.access import GRANTED
from penstock.modules.filters.bodies import pieces
from penstock.observe.errorlog import ERROR, report
from penstock.plan import phases

PAGE = "ngx_http_auth_request_module.html"

NOT_ITS_CONCERN = frozenset({"connection", "upgrade", "content-length", "transfer-encoding", "expect"})
"""Headers of the client that are kept from who judges: it is asked a question, not to switch protocols (where
`proxy_set_header Upgrade $http_upgrade` is inherited, a handshake would make a tunnel of the question), and the body
does not come with it."""

WORTH_READING = 65536
"""Bytes of an answer's body that are read for the connection to be kept."""


@dataclass(frozen=True, slots=True)
class AuthRequestVariable:
    """One `auth_request_set`."""

    set: Setter
    value: Template


def _kept(call: Call) -> AuthRequestVariable:
    word = call.args[0]
    if not word.text.startswith("$") or len(word.text) < 2:
        raise call.fail(f'invalid variable name "{word.text}"', word)
    found = call.compilation.variables.stored(word.text[1:], word.span)
    assert found.set is not None
    return AuthRequestVariable(found.set, call.template(call.args[1]))


class AuthRequest(Settings):
    """2xx lets in, 401 and 403 refuse, anything else is a mistake."""

    uri: str | None = directive(
        "auth_request", where=HTTP_LEVELS, takes=either("off", None, text), nginx=PAGE, shown="off"
    )
    kept: tuple[AuthRequestVariable, ...] = directives(
        "auth_request_set",
        where=HTTP_LEVELS,
        takes=custom(_kept, least=2, most=2, syntax="$variable value"),
        nginx=PAGE,
        doc="Variables to set from the answer, such as `$upstream_http_x_user`.",
    )

    @phase(phases.ACCESS, when=lambda self: self.uri)
    async def decide(self, request: Request) -> Outcome:
        """Ask, and do as is answered."""
        assert self.uri is not None
        service = request.connection.service
        inner: Request | None = await service.subrequest(request, self.uri, "", NOT_ITS_CONCERN)
        if inner is None or inner.answer is None:
            return special(500)
        try:
            await _read_a_little(inner)
            values = [(each.set, each.value.evaluate(inner)) for each in self.kept]
            for store, value in values:
                store(request, value)
            return _verdict(request, inner)
        finally:
            service.end_subrequest(inner)


def _verdict(request: Request, inner: Request) -> Outcome:
    answer = inner.answer
    assert answer is not None
    status = answer.status
    if 200 <= status < 300:
        return GRANTED
    if status not in (401, 403):
        report(request, ERROR, f"auth request unexpected status: {status}")
        return special(500)
    refused = special(status)
    if status == 401:
        refused.headers += [pair for pair in answer.headers if pair[0].lower() == "www-authenticate"]
    return refused


async def _read_a_little(inner: Request) -> None:
    """A backend's connection can be used again when its answer has been read to the end."""
    answer = inner.answer
    assert answer is not None
    if not answer.from_upstream:
        return
    count = 0
    async for piece in pieces(answer.body):
        count += len(piece)
        if count > WORTH_READING:
            return
