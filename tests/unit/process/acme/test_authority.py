"""What is said to an authority that calls nonces bad."""

from typing import Any

import pytest
from acme import client, messages

from penstock.process.acme.authority import NONCES, SignedPosts

BAD = messages.Error.with_code("badNonce")


class Answers:
    """Stands for the library's one request, and counts."""

    def __init__(self, *failures: messages.Error) -> None:
        self.failures = list(failures)
        self.count = 0

    def __call__(self, network: object, *args: Any, **kwargs: Any) -> str:
        assert (args, kwargs) == (("https://a.test/order", None), {"new_nonce_url": "https://a.test/nonce"})
        self.count += 1
        if self.failures:
            raise self.failures.pop(0)
        return "answer"


def posted(monkeypatch: pytest.MonkeyPatch, answers: Answers) -> Any:
    monkeypatch.setattr(client.ClientNetwork, "_post_once", lambda *args, **kwargs: answers(*args, **kwargs))
    return SignedPosts(None).post("https://a.test/order", None, new_nonce_url="https://a.test/nonce")


def test_many_bad_nonces_in_a_row_are_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers(*[BAD] * (2 * NONCES - 1))
    assert posted(monkeypatch, answers) == "answer"
    assert answers.count == 2 * NONCES


def test_it_ends_at_some_time(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers(*[BAD] * 1000)
    with pytest.raises(messages.Error, match="badNonce"):
        posted(monkeypatch, answers)
    assert answers.count == 2 * NONCES


def test_what_is_refused_for_another_reason_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers(messages.Error.with_code("rateLimited"))
    with pytest.raises(messages.Error, match="rateLimited"):
        posted(monkeypatch, answers)
    assert answers.count == 1
