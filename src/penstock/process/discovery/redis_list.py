"""A list in Redis or Valkey: a text as in a file, a set of addresses, or a hash of addresses and their parameters."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import cast

from redis import Redis
from redis.exceptions import RedisError

from penstock.modules.upstream.servers_from import REDIS_TLS, ServerSource
from penstock.process.discovery.sources import SourceFailed, read_text

LOOK = 1.0
PATIENCE = 5.0


class RedisLists:
    """A key that is looked at once a second: changes are told only by servers that were configured to."""

    def __init__(self, source: ServerSource, sleep: Callable[[float], None] = time.sleep) -> None:
        self._source = source
        self._sleep = sleep
        self._last: str | None = None
        self._client: Redis | None = None

    def wait(self) -> str:
        """Wait for another content of the key. Raises `SourceFailed`."""
        while True:
            try:
                text = self._read()
            except (RedisError, OSError, ValueError) as error:
                self._client, self._last = None, None
                raise SourceFailed(f"{self._source.host}:{self._source.port}: {error}") from None
            if text != self._last:
                self._last = text
                return text
            self._sleep(LOOK)

    def _read(self) -> str:
        client, key = self._connected(), self._source.place
        kind = cast("str", client.type(key))
        if kind == "none":
            raise ValueError(f'there is no key "{key}"')
        if kind == "set":
            return json.dumps(sorted(cast("set[str]", client.smembers(key))))
        if kind == "hash":
            found = cast("dict[str, str]", client.hgetall(key))
            return "".join(f"server {name} {found[name]};\n" for name in sorted(found))
        if kind != "string":
            raise ValueError(f'the key "{key}" is a {kind}; a string, a set or a hash is read')
        return str(client.get(key))

    def _connected(self) -> Redis:
        if self._client is None:
            source = self._source
            path = source.option("password_file")
            self._client = Redis(
                host=source.host,
                port=source.port,
                db=int(source.option("db") or 0),
                username=source.option("user") or None,
                password=read_text(path).strip() if path else None,
                ssl=source.kind == REDIS_TLS,
                socket_timeout=PATIENCE,
                socket_connect_timeout=PATIENCE,
                encoding="latin-1",
                decode_responses=True,
            )
        return self._client
