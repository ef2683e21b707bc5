"""Containers of a Docker engine, found by a label or by the VIRTUAL_HOST that nginx-proxy knows.

https://docs.docker.com/reference/api/engine/: events say when to look again, the list says what there is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TypeVar
from urllib.parse import urlencode

from penstock.config.addresses import bracketed
from penstock.modules.upstream.server_list import LONGEST
from penstock.modules.upstream.servers_from import ServerSource
from penstock.net.blocking_http import HttpFailed, HttpPlace
from penstock.process.discovery.sources import SourceFailed

SILENCE = 60.0
"""Seconds without an event after which the list is looked at again: an engine that was restored has lost some."""
PATIENCE = 10.0
PORT_LABEL = "penstock.port"

Values = Mapping[str, object]
T = TypeVar("T")


class DockerLists:
    """The running containers that are meant. The events are listened to before the list is taken: none is missed."""

    def __init__(self, source: ServerSource, sleep: Callable[[float], None] = time.sleep) -> None:
        self._source = source
        self._sleep = sleep
        self._place = HttpPlace(path=source.place)
        self._events: AbstractContextManager[Iterator[bytes]] | None = None
        self._lines: Iterator[bytes] = iter(())

    def wait(self) -> str:
        """Wait for an event, and take the list. Raises `SourceFailed`."""
        try:
            if self._events is not None:
                self._wait_for_event()
                # One list answers all events that have come meanwhile: those that wait are left behind.
                self._close()
            self._listen()
            return json.dumps(self._list())
        except (HttpFailed, TimeoutError) as error:
            self._close()
            raise SourceFailed(str(error) or f"{self._place.name} is silent") from None

    def _listen(self) -> None:
        filters = {"type": ["container"], "event": ["start", "die", "stop", "kill", "health_status"]}
        target = f"/events?{urlencode({'filters': json.dumps({**filters, **self._labels()})})}"
        self._events = self._place.lines(target, most=LONGEST, timeout=SILENCE)
        self._lines = self._events.__enter__()

    def _wait_for_event(self) -> None:
        try:
            next(self._lines, None)
        except TimeoutError:
            return  # nothing has been told for a while
        except OSError as error:
            raise HttpFailed(f"{self._place.name}: {error}") from None
        self._sleep(self._source.debounce)

    def _close(self) -> None:
        if self._events is not None:
            self._events.__exit__(None, None, None)
            self._events = None

    def _labels(self) -> dict[str, list[str]]:
        labels = [value for name, value in self._source.options if name == "label"]
        return {"label": labels} if labels else {}

    def _list(self) -> list[dict[str, object]]:
        filters = json.dumps({"status": ["running"], **self._labels()})
        body, _ = self._place.get(
            f"/containers/json?{urlencode({'filters': filters})}", most=LONGEST * 8, timeout=PATIENCE
        )
        wanted = self._source.option("virtual_host")
        found = []
        for each in _read(body, list):
            environment = self._environment(each) if wanted else {}
            if wanted and wanted not in [name.strip() for name in environment.get("VIRTUAL_HOST", "").split(",")]:
                continue
            port = self._source.option("port") or environment.get("VIRTUAL_PORT", "")
            server = server_of(each, port, self._source.option("network"))
            if server is not None:
                found.append(server)
        return found

    def _environment(self, container: Values) -> dict[str, str]:
        identity = str(container.get("Id", ""))
        if not identity.isalnum():
            raise SourceFailed("this is no answer of Docker's: a container without an id")
        body, _ = self._place.get(f"/containers/{identity}/json", most=LONGEST, timeout=PATIENCE)
        config = _read(body, dict).get("Config")
        lines = config.get("Env") if isinstance(config, dict) else None
        pairs = [str(line).partition("=") for line in lines] if isinstance(lines, list) else []
        return {name: value for name, _, value in pairs}


def server_of(container: Values, port: str, network: str) -> dict[str, object] | None:
    """Return a container as a server of a list; None if it has no address yet, or is only starting.

    Its port is `port`, its label `penstock.port`, or the only one that it exposes. One whose health check fails is
    drained.
    """
    labels = container.get("Labels")
    port = port or (str(labels.get(PORT_LABEL, "")) if isinstance(labels, dict) else "")
    if not port:
        ports = container.get("Ports")
        exposed = {
            each.get("PrivatePort")
            for each in (ports if isinstance(ports, list) else [])
            if isinstance(each, dict) and each.get("Type", "tcp") == "tcp"
        }
        if len(exposed) != 1:
            return None
        port = str(exposed.pop())
    address = _address(container, network)
    status = str(container.get("Status", ""))
    if not address or "(health: starting)" in status:
        return None
    server: dict[str, object] = {"server": f"{bracketed(address)}:{port}"}
    if "(unhealthy)" in status:
        server["drain"] = True
    return server


def _address(container: Values, network: str) -> str:
    settings = container.get("NetworkSettings")
    networks = settings.get("Networks") if isinstance(settings, dict) else None
    if not isinstance(networks, dict):
        return ""
    for name, each in sorted(networks.items()):
        if (not network or name == network) and isinstance(each, dict):
            address = each.get("IPAddress") or each.get("GlobalIPv6Address")
            if address:
                return str(address)
    return ""


def _read(body: bytes, kind: type[T]) -> T:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise SourceFailed(f"this is no answer of Docker's: {error}") from None
    if not isinstance(found, kind):
        raise SourceFailed("this is no answer of Docker's: it has another shape")
    return found
