"""Challenges are answered while they are posed: over HTTP before all else, in a handshake by their own certificate."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from penstock.modules.acme.challenge import AcmeChallenges, context_posed
from penstock.modules.acme.self_signed import self_signed
from penstock.modules.load import load
from penstock.plan.phases import POST_READ
from penstock.plan.plan import Plan
from penstock.shared.challenge_board import BOARD, HTTP, TLS, ChallengeBoard


def plan(tmp_path: Path, issuer: str) -> Plan:
    (tmp_path / "nginx.conf").write_text(f"events {{ }} http {{ {issuer} server {{ listen 80; return 301 /; }} }}")
    return load(str(tmp_path / "nginx.conf"), prefix=f"{tmp_path}/")


def board_of(made: Plan) -> ChallengeBoard:
    board = made.shared.get(BOARD)
    assert board is not None
    return board


ISSUER = "acme_issuer a { uri https://ca.test/; }"


def test_every_server_answers_and_none_where_nothing_is_ordered(tmp_path: Path) -> None:
    assert len(plan(tmp_path, ISSUER).servers[0].root.phases[POST_READ]) == 1
    assert len(plan(tmp_path, "").servers[0].root.phases[POST_READ]) == 0


def test_what_is_posed_is_answered_and_nothing_else(tmp_path: Path) -> None:
    made = plan(tmp_path, ISSUER)
    board_of(made).pin(HTTP, "token", b"token.print")
    asked: Any = SimpleNamespace(uri="/.well-known/acme-challenge/token")
    settings = made.servers[0].root[AcmeChallenges]
    answer = settings.answer(asked)
    assert answer is not None and (answer.status, answer.body) == (200, b"token.print")
    for uri in ("/.well-known/acme-challenge/", "/.well-known/acme-challenge/tok", "/token", "/"):
        asked.uri = uri
        assert settings.answer(asked) is None


def test_a_handshake_for_a_name_that_is_asked_for_has_its_own_context(tmp_path: Path) -> None:
    made = plan(tmp_path, ISSUER)
    certificate, key = self_signed(("a.test",), bytes(32))
    board_of(made).pin(TLS, "a.test", f"{certificate}\0{key}".encode())
    assert context_posed(made, "a.test") is not None
    assert context_posed(made, "b.test") is None
    assert context_posed(plan(tmp_path, ""), "a.test") is None
