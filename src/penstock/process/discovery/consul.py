"""Servers of a service in Consul, by blocking queries: a question is held back until the answer is another one.

https://developer.hashicorp.com/consul/api-docs/health and https://developer.hashicorp.com/consul/api-docs/features/blocking
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlencode

from penstock.config.addresses import bracketed
from penstock.modules.upstream.server_list import LONGEST
from penstock.modules.upstream.servers_from import CONSUL_TLS, ServerSource
from penstock.net.blocking_http import HttpFailed, HttpPlace
from penstock.process.discovery.sources import SourceFailed, read_text

WAIT = 55
"""Seconds that Consul may hold a question back."""
PATIENCE = WAIT + 20.0
REST = 1.0
"""Seconds between an answer that is the same and the next question."""


class ConsulLists:
    """The instances of one service: with `passing` those that are healthy, else all of them."""

    def __init__(self, source: ServerSource, sleep: Callable[[float], None] = time.sleep) -> None:
        self._source = source
        self._sleep = sleep
        self._place = HttpPlace(host=source.host, port=source.port, tls=source.kind == CONSUL_TLS)
        self._index = 0
        self._last: bytes | None = None

    def wait(self) -> str:
        """Ask until the answer is another one. Raises `SourceFailed`."""
        while True:
            try:
                body, headers = self._place.get(
                    self._target(), most=LONGEST * 8, timeout=PATIENCE, headers=self._token()
                )
            except (HttpFailed, TimeoutError) as error:
                self._index, self._last = 0, None
                raise SourceFailed(str(error) or f"{self._place.name} is silent") from None
            self._index = next_index(self._index, headers)
            if body != self._last:
                self._last = body
                return json.dumps(instances(body))
            # A Consul that does not hold the question back, or something in its place, is not asked without a rest.
            self._sleep(REST)

    def _target(self) -> str:
        asked = [(name, value) for name, value in self._source.options if name in ("tag", "dc")]
        if any(name == "passing" for name, _ in self._source.options):
            asked.append(("passing", "1"))
        if self._index:
            asked += [("index", str(self._index)), ("wait", f"{WAIT}s")]
        query = urlencode(asked, encoding="latin-1")
        return f"/v1/health/service/{quote(self._source.place, safe='', encoding='latin-1')}?{query}"

    def _token(self) -> dict[str, str]:
        path = self._source.option("token_file")
        return {"X-Consul-Token": read_text(path).strip()} if path else {}


def next_index(before: int, headers: Mapping[str, str]) -> int:
    """Return the index to ask with: that of the answer, but 0 where it has none, or one that has gone back."""
    text = headers.get("x-consul-index", "")
    index = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0
    return index if index >= before else 0


def instances(body: bytes) -> list[dict[str, object]]:
    """Read an answer: where each instance is, and its weight as its checks have it. Raises `SourceFailed`."""
    try:
        entries = json.loads(body)
        return [_instance(each) for each in entries]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SourceFailed(f"this is no answer of Consul's: {type(error).__name__}: {error}") from None


def _instance(entry: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    service = entry["Service"]
    host = str(service.get("Address") or entry["Node"]["Address"])
    found: dict[str, object] = {"server": f"{bracketed(host)}:{int(str(service['Port']))}"}
    weights = service.get("Weights")
    if isinstance(weights, dict):
        checks: object = entry.get("Checks")
        known = checks if isinstance(checks, list) else []
        warned = any(isinstance(check, dict) and check.get("Status") == "warning" for check in known)
        weight = weights.get("Warning" if warned else "Passing", 1)
        if type(weight) is int and 1 < weight <= 65535:
            found["weight"] = weight
    return found
