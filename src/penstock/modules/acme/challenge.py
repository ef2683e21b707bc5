"""Answers to the challenges that an authority poses for a name: over HTTP before everything else of a server, or in a
TLS handshake of its own (RFC 8555, section 8.3, and RFC 8737)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.config.scope import Scope
from penstock.config.settings import Settings, phase
from penstock.http.request import Answer, Request
from penstock.modules.acme.issuer import ISSUERS
from penstock.modules.acme.orders import ALPN
from penstock.net.tls.files import challenge_context
from penstock.plan import phases
from penstock.shared.challenge_board import BOARD, HTTP, TLS, ChallengeBoard

if TYPE_CHECKING:
    import ssl

    from penstock.plan.plan import Plan

MODULE = "acme"
PATH = "/.well-known/acme-challenge/"


def context_posed(plan: Plan, server_name: str) -> ssl.SSLContext | None:
    """Return the context that answers tls-alpn-01 for a name; None where nobody asks for it now."""
    board = plan.shared.get(BOARD)
    answer = None if board is None else board.find(TLS, server_name)
    if answer is None:
        return None
    certificate, _, key = answer.decode("latin-1").partition("\0")
    return challenge_context(certificate, key, ALPN)


class AcmeChallenges(Settings):
    """Answers to http-01, in every server: an authority asks at port 80 for any of the names."""

    board: ChallengeBoard | None

    def finish(self, scope: Scope) -> None:
        """See whether certificates are ordered at all."""
        shared = scope.compilation.shared
        if ISSUERS in shared and BOARD not in shared:
            shared[BOARD] = scope.compilation.previous.get(BOARD) or ChallengeBoard()
        self.board = shared.get(BOARD)

    @phase(phases.POST_READ, when=lambda self: self.board is not None)
    def answer(self, request: Request) -> Answer | None:
        """Answer a challenge that is posed now; everything else goes on as ever."""
        if self.board is None or not request.uri.startswith(PATH):
            return None
        found = self.board.find(HTTP, request.uri[len(PATH) :])
        return None if found is None else Answer(200, found, content_type="text/plain")
