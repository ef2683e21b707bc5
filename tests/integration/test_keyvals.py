"""Pairs of keys and values by the API: in force in all workers when it is answered, and kept in a file."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from harness.backends import HttpEcho
from harness.proxy import Proxy
from harness.waiting import eventually

FRONT = """
    worker_processes 2;
    events { }
    http {
        keyval_zone zone=texts:32k state={dir}/kept/texts.json;
        keyval_zone zone=networks:32k type=ip timeout=1h;
        keyval_zone zone=short:32k timeout=1h;
        keyval $arg_key $value zone=texts;
        keyval $arg_key $network zone=networks;
        keyval $arg_key $short zone=short;
        server {
            listen 127.0.0.1:{port:front};
            location / { return 200 "[$value] [$network] [$short]"; }
            location /head { add_header X-Value $value; return 200 ""; }
            location /to { proxy_pass http://$value; }
            location /api { api write=on; allow 127.0.0.1; deny all; }
            location /read { api; allow 127.0.0.1; deny all; }
        }
    }
    stream {
        keyval_zone zone=where:32k type=ip;
        keyval $remote_addr $where zone=where;
        server { listen 127.0.0.1:{port:stream}; return "[$where]"; }
    }
    """
TEXTS, NETWORKS, SHORT = (f"/api/9/http/keyvals/{name}" for name in ("texts", "networks", "short"))


@pytest.fixture
def front() -> Iterator[Proxy]:
    with Proxy(FRONT) as proxy:
        yield proxy


def ask(front: Proxy, path: str, method: str = "GET", body: object = None) -> tuple[int, Any]:
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = front.get(path, method=method, body=data)
    found = json.loads(answer.text) if answer.text else None
    return answer.status, found["error"]["code"] if answer.status >= 400 else found


def values(front: Proxy, key: str) -> set[str]:
    """What several connections, and so both workers, say of it."""
    return {front.get(f"/?key={key}").text for _ in range(12)}


def test_a_pair_from_its_first_to_its_last(front: Proxy) -> None:
    assert ask(front, "/api/9/http/keyvals") == (200, {"texts": {}, "networks": {}, "short": {}})
    assert ask(front, "/api/9/http/keyvals/?fields=") == (200, ["texts", "networks", "short"])
    answer = front.get(TEXTS, method="POST", body=b'{"a": "1", "b": "2"}')
    assert (answer.status, answer.header("Location"), answer.text) == (201, f"{TEXTS}/", "")
    assert values(front, "a") == {"[1] [] []"}
    assert ask(front, TEXTS, "POST", {"c": "3"}) == (201, None)
    assert ask(front, TEXTS, "PATCH", {"a": "one"}) == (204, None)
    assert values(front, "a") == {"[one] [] []"}
    assert ask(front, TEXTS) == (200, {"a": "one", "b": "2", "c": "3"})
    assert ask(front, f"{TEXTS}?key=c") == (200, {"c": "3"})
    assert ask(front, TEXTS, "PATCH", {"b": None}) == (204, None)
    assert ask(front, "/read/9/http/keyvals/texts") == (200, {"a": "one", "c": "3"})
    assert ask(front, TEXTS, "DELETE") == (204, None)
    assert values(front, "a") == {"[] [] []"}
    assert ask(front, "/api/1/http/keyvals/") == (200, {"texts": {}, "networks": {}, "short": {}})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", TEXTS, {"there": "1"}, 409, "KeyvalKeyExists"),
        ("POST", TEXTS, {"a": "1", "b": "2"}, 400, "KeyvalFormatError"),
        ("POST", TEXTS, {}, 400, "KeyvalFormatError"),
        ("POST", TEXTS, {"": "1"}, 400, "KeyvalFormatError"),
        ("POST", TEXTS, {"a": 1}, 400, "KeyvalFormatError"),
        ("POST", TEXTS, {"a": None}, 400, "KeyvalFormatError"),
        ("POST", TEXTS, {"a": {}}, 400, "KeyvalFormatError"),
        ("POST", TEXTS, {"a": {"value": "1", "other": 2}}, 400, "KeyvalFormatError"),
        ("POST", TEXTS, {"a": {"value": "1", "expire": 1000}}, 400, "KeyvalFormatError"),
        ("POST", SHORT, {"a": {"value": "1", "expire": -1}}, 400, "KeyvalFormatError"),
        ("POST", SHORT, {"a": {"value": "1", "expire": "1"}}, 400, "KeyvalFormatError"),
        ("POST", SHORT, b'{"a": {"value": "1", "expire": NaN}}', 400, "KeyvalFormatError"),
        ("POST", SHORT, {"a": {"expire": 1000}}, 400, "KeyvalFormatError"),
        ("POST", NETWORKS, {"somewhere": "1"}, 400, "KeyvalFormatError"),
        ("POST", TEXTS, [], 415, "JsonError"),
        ("POST", TEXTS, b"{", 415, "JsonError"),
        ("POST", TEXTS, {"a": "x" * 40000}, 507, "KeyvalOutOfMemory"),
        ("POST", TEXTS, {"a": "x" * 70000}, 413, "BodyReadError"),
        ("PATCH", TEXTS, {"a": "1"}, 404, "KeyvalKeyNotFound"),
        ("PATCH", TEXTS, {"a": None}, 404, "KeyvalKeyNotFound"),
        ("PATCH", TEXTS, {"there": "1", "a": "2"}, 400, "KeyvalFormatError"),
        ("PATCH", TEXTS, {}, 400, "KeyvalFormatError"),
        ("PUT", TEXTS, {"a": "1"}, 405, "MethodDisabled"),
        ("POST", "/read/9/http/keyvals/texts", {"a": "1"}, 405, "MethodDisabled"),
        ("DELETE", "/read/9/http/keyvals/texts", None, 405, "MethodDisabled"),
        ("POST", "/api/9/http/keyvals", {"a": "1"}, 405, "MethodDisabled"),
        ("GET", "/api/9/http/keyvals/none", None, 404, "KeyvalNotFound"),
        ("POST", "/api/9/http/keyvals/none", {"a": "1"}, 404, "KeyvalNotFound"),
        ("GET", f"{TEXTS}?key=a", None, 404, "KeyvalKeyNotFound"),
        ("GET", f"{TEXTS}/a", None, 404, "PathNotFound"),
        ("GET", "/api/10/http/keyvals", None, 404, "UnknownVersion"),
    ],
)
def test_what_is_wrong_changes_nothing(
    refusing: Proxy, method: str, path: str, body: object, status: int, code: str
) -> None:
    assert ask(refusing, path, method, body) == (status, code)
    assert ask(refusing, TEXTS) == (200, {"there": "here"})
    assert ask(refusing, SHORT) == (200, {})


@pytest.fixture(scope="module")
def refusing() -> Iterator[Proxy]:
    with Proxy(FRONT) as proxy:
        assert ask(proxy, TEXTS, "POST", {"there": "here"})[0] == 201
        yield proxy


def test_another_site_can_not_write(front: Proxy) -> None:
    answer = front.get(TEXTS, method="POST", body=b'{"a": "1"}', headers={"Origin": "https://evil.example"})
    assert answer.status == 403
    assert ask(front, TEXTS) == (200, {})


def test_networks_and_times(front: Proxy) -> None:
    assert ask(front, NETWORKS, "POST", {"10.0.0.0/8": "inside", "10.1.2.3": "one"})[0] == 201
    assert values(front, "10.1.2.3") == {"[] [one] []"}
    assert values(front, "10.9.9.9") == {"[] [inside] []"}
    assert ask(front, SHORT, "POST", {"a": {"value": "1", "expire": 3_600_000}})[0] == 201
    assert values(front, "a") == {"[] [] [1]"}
    assert ask(front, SHORT, "PATCH", {"a": {"expire": 1}})[0] == 204
    eventually(lambda: values(front, "a") == {"[] [] []"})
    assert ask(front, SHORT) == (200, {})


def test_a_file_and_a_reload_keep_them(front: Proxy) -> None:
    assert ask(front, TEXTS, "POST", {"ключ": "значение", "a": "1"})[0] == 201
    kept = front.directory / "kept" / "texts.json"
    assert json.loads(kept.read_text()) == {"ключ": "значение", "a": "1"}
    front.reload(FRONT)
    assert ask(front, TEXTS) == (200, {"ключ": "значение", "a": "1"})
    front.stop()
    front.start()
    assert ask(front, TEXTS) == (200, {"ключ": "значение", "a": "1"})
    assert values(front, "%D0%BA%D0%BB%D1%8E%D1%87") == {"[] [] []"}, "arguments are not decoded, as in nginx"


def test_a_file_that_can_not_be_written(front: Proxy) -> None:
    assert ask(front, TEXTS, "POST", {"a": "1"})[0] == 201
    kept = front.directory / "kept" / "texts.json"
    kept.unlink()
    kept.mkdir()
    assert ask(front, TEXTS, "PATCH", {"a": "2"}) == (500, "InternalError")
    assert values(front, "a") == {"[1] [] []"}


def test_a_value_stays_in_its_line(front: Proxy) -> None:
    assert ask(front, TEXTS, "POST", {"a": "1\r\nX-Evil: yes"})[0] == 201
    answer = front.get("/head?key=a")
    assert answer.header("X-Evil") is None


def test_backends_by_key(front: Proxy) -> None:
    with HttpEcho("chosen") as backend:
        assert ask(front, TEXTS, "POST", {"a": f"127.0.0.1:{backend.port}"})[0] == 201
        assert json.loads(front.get("/to?key=a").text)["name"] == "chosen"


def test_streams(front: Proxy) -> None:
    def said() -> bytes:
        with socket.create_connection(("127.0.0.1", front.port("stream")), timeout=10) as client:
            return client.recv(100)

    assert said() == b"[]"
    assert ask(front, "/api/9/stream/keyvals/where", "POST", {"127.0.0.0/8": "here"})[0] == 201
    assert {said() for _ in range(8)} == {b"[here]"}
    assert ask(front, "/api/9/stream/keyvals") == (200, {"where": {"127.0.0.0/8": "here"}})
    assert ask(front, "/api/9/http/keyvals/where") == (404, "KeyvalNotFound")
