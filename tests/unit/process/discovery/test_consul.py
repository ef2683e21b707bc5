"""Answers of Consul's, as its documentation has them."""

import json

import pytest

from harness.sources import instance
from penstock.modules.upstream.servers_from import CONSUL, ServerSource
from penstock.process.discovery.consul import ConsulLists, instances, next_index
from penstock.process.discovery.sources import SourceFailed


def read(*entries: object) -> list[dict[str, object]]:
    return instances(json.dumps(entries).encode())


def test_where_instances_are() -> None:
    there = instance(9000)
    there["Service"]["Address"] = "2001:db8::1"
    assert read(instance(8000, address="10.1.1.1"), there) == [
        {"server": "10.1.1.1:8000"},
        {"server": "[2001:db8::1]:9000"},
    ]


def test_weights_are_those_of_the_checks() -> None:
    weights = {"Passing": 5, "Warning": 2}
    assert read(instance(1, **weights)) == [{"server": "127.0.0.1:1", "weight": 5}]
    assert read(instance(1, "warning", **weights)) == [{"server": "127.0.0.1:1", "weight": 2}]


@pytest.mark.parametrize("body", [b"", b"{}1", b"7", b'["x"]', b'[{"Service": {}}]', b'[{"Service": {"Port": "x"}}]'])
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(SourceFailed, match="no answer of Consul's"):
        instances(body)


@pytest.mark.parametrize(
    ("before", "given", "after"), [(0, "7", 7), (7, "9", 9), (9, "7", 0), (9, "", 0), (9, "x", 0), (9, "9" * 30, 0)]
)
def test_an_index_that_goes_back_begins_anew(before: int, given: str, after: int) -> None:
    assert next_index(before, {"x-consul-index": given}) == after


class Place:
    """Answers at once, the same thing most of the time, and with no index: it is no Consul."""

    name = "here"

    def __init__(self) -> None:
        self.answers = iter([b"[]", b"[]", b"[]", json.dumps([instance(7)]).encode()])

    def get(self, target: str, **more: object) -> tuple[bytes, dict[str, str]]:
        assert "index=" not in target
        return next(self.answers), {}


def test_what_does_not_hold_the_question_back_is_not_asked_without_a_rest() -> None:
    slept: list[float] = []
    lists = ConsulLists(ServerSource("consul://here/chat", CONSUL, "here", 1, "chat", ()), slept.append)
    lists._place = Place()  # type: ignore[assignment]
    assert lists.wait() == "[]"
    assert slept == []
    assert json.loads(lists.wait()) == [{"server": "127.0.0.1:7"}]
    assert slept == [1.0, 1.0]
