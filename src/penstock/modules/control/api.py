"""`api`: upstreams, connections and processes over HTTP, by the URLs of nginx's paid edition (ngx_http_api_module).

Versions 1 to 9 answer alike. A change is in force in all workers before it is answered; one that is wrong changes
nothing, and says why in nginx's words.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote

from penstock import __version__
from penstock.config.kinds import custom
from penstock.config.registry import LOCATION
from penstock.config.scope import Call, Scope
from penstock.config.settings import NOT, Settings, directive, phase
from penstock.http.request import Answer, Outcome, Request
from penstock.modules.control.keyvals import all_pairs, change, pairs_of, store_named, stores_of
from penstock.modules.control.plus import (
    ApiRefused,
    Plain,
    chosen,
    error_object,
    moment,
    server_object,
    upstream_object,
)
from penstock.modules.control.same_site import may_write, strange, warn_unprotected
from penstock.modules.core.variables import request_id
from penstock.modules.logs.metrics import count_for
from penstock.modules.logs.stub_status import figures
from penstock.modules.upstream.steering import SteeringRefused
from penstock.observe.ask_workers import upstreams_of_all
from penstock.observe.errorlog import WARN, report
from penstock.plan import phases
from penstock.shared.reload_record import NO_RELOAD, RELOADS

if TYPE_CHECKING:
    from penstock.http.client import ClientService
    from penstock.observe.upstream_list import ToldUpstream

PAGE = "ngx_http_api_module.html"
VERSIONS = range(1, 10)
LONGEST = 64 << 10
"""Bytes of a body."""


@dataclass(frozen=True, slots=True)
class ApiUse:
    """How the API may be used."""

    write: bool


def _use(call: Call) -> ApiUse:
    count_for(call.compilation)
    return ApiUse(may_write(call))


class Api(Settings):
    """Upstreams, connections and processes, for programs."""

    use: ApiUse | None = directive(
        "api",
        where=LOCATION,
        takes=custom(_use, least=0, most=1, syntax="[write=on | off]"),
        inherit=NOT,
        nginx=PAGE,
        doc="JSON by the URLs of version 9: `/9/http/upstreams`, `/9/http/keyvals`, `/9/connections`, `/9/processes`, "
        "`/9/nginx` below the location. With `write=on` servers and pairs are set, added and removed by POST, PATCH "
        "and DELETE, in all workers. What another site's page asks is refused. Protect it with `allow` and `deny`, or "
        "a password.",
    )

    def finish(self, scope: Scope) -> None:
        """Warn where strangers could reach it."""
        if self.use is not None:
            warn_unprotected(scope, "api", self.origins["use"][0], writes=self.use.write)

    @phase(phases.CONTENT, when=lambda self: self.use is not None)
    async def serve(self, request: Request) -> Outcome:
        """Answer with JSON."""
        assert self.use is not None
        try:
            why = strange(request)
            if why:
                report(request, WARN, f"a request to the API is refused: {why}")
                raise ApiRefused(403, "Forbidden", why)
            return await _answer(request, self.use)
        except (ApiRefused, SteeringRefused) as refused:
            await request.body.discard()
            words = error_object(refused.status, refused.code, str(refused), request_id(request) or "")
            return _json(words, refused.status)


async def _answer(request: Request, use: ApiUse) -> Answer:
    parts = [unquote(part) for part in request.uri[len(request.location.name) :].split("/") if part]
    method, body = request.method, b""
    if method not in ("GET", "HEAD"):
        if not use.write or method not in ("POST", "PATCH", "DELETE"):
            raise ApiRefused(405, "MethodDisabled", "method disabled")
        body = await _body(request)
    else:
        await request.body.discard()
    if not parts:
        return _json(list(VERSIONS))
    version, *path = parts
    if not (version.isascii() and version.isdecimal() and int(version) in VERSIONS):
        raise ApiRefused(404, "UnknownVersion", "unknown version")
    if path[:2] == ["http", "upstreams"]:
        return await _upstreams(request, method, path[2:], body, version)
    if path[1:2] == ["keyvals"] and path[0] in ("http", "stream"):
        return _keyvals(request, method, path, body, version)
    if method not in ("GET", "HEAD"):
        raise ApiRefused(405, "MethodDisabled", "method disabled")
    return _json(chosen_of(_plain(request, path), _fields(request)))


def chosen_of(found: Any, fields: list[str] | None) -> Any:
    """Return an object with the fields that are asked for; a list is left as it is."""
    return chosen(found, fields) if isinstance(found, dict) else found


def _plain(request: Request, path: list[str]) -> Any:
    service = request.connection.service
    if path == []:
        return ["nginx", "processes", "connections", "http", "stream"]
    if path == ["http"]:
        return ["requests", "upstreams", "keyvals"]
    if path == ["stream"]:
        return ["keyvals"]
    reloads = service.plan.shared.get(RELOADS)
    last = NO_RELOAD if reloads is None else reloads.read()
    if path == ["nginx"]:
        return {
            "version": __version__,
            "build": "penstock",
            "address": request.connection.local_address,
            "generation": last.generation,
            "load_timestamp": moment(last.time),
            "timestamp": moment(time()),
            "pid": os.getpid(),
            "ppid": os.getppid(),
        }
    if path == ["processes"]:
        return {"respawned": last.respawned}
    seen = figures(request)
    if path == ["connections"]:
        return {
            "accepted": seen.accepts,
            "dropped": seen.accepts - seen.handled,
            "active": seen.active - seen.waiting,
            "idle": seen.waiting,
        }
    if path == ["http", "requests"]:
        return {"total": seen.requests, "current": seen.reading + seen.writing}
    raise ApiRefused(404, "PathNotFound", "path not found")


async def _upstreams(request: Request, method: str, path: list[str], body: bytes, version: str) -> Answer:
    service = request.connection.service
    if not path:
        _only_reads(method)
        found = {each["name"]: upstream_object(each) for each in await upstreams_of_all(service)}
        fields = _fields(request)
        return _json(list(found) if fields == [] else {name: chosen(each, fields) for name, each in found.items()})
    name, *rest = path
    if not rest:
        _only_reads(method)
        return _json(chosen(upstream_object(await _upstream(service, name)), _fields(request)))
    if rest[0] != "servers" or len(rest) > 2:
        raise ApiRefused(404, "PathNotFound", "path not found")
    if len(rest) == 1:
        if method == "POST":
            number = await service.steer({"act": "add", "upstream": name, "options": _object(body)})
            answer = _json(server_object(_peer(await _upstream(service, name), number)), 201)
            where = f"{request.location.name.rstrip('/')}/{version}/http/upstreams/{quote(name)}/servers/{number}/"
            answer.headers.append(("Location", where))
            return answer
        _only_reads(method)
        return _json([server_object(peer) for peer in (await _upstream(service, name))["peers"]])
    number = _number(rest[1])
    if method == "PATCH":
        given = _object(body)
        if given.get("id", number) in (number, str(number)):
            given.pop("id", None)
        await service.steer({"act": "set", "upstream": name, "peer": number, "options": given})
    elif method == "DELETE":
        await service.steer({"act": "remove", "upstream": name, "peer": number})
        return _json([server_object(peer) for peer in (await _upstream(service, name))["peers"]])
    else:
        _only_reads(method)
    return _json(server_object(_peer(await _upstream(service, name), number)))


def _keyvals(request: Request, method: str, path: list[str], body: bytes, version: str) -> Answer:
    part, _, *rest = path
    stores = stores_of(request.connection.service.plan, part)
    if not rest:
        _only_reads(method)
        found = all_pairs(stores)
        return _json(list(found) if _fields(request) == [] else found)
    if len(rest) > 1:
        raise ApiRefused(404, "PathNotFound", "path not found")
    store = store_named(stores, rest[0])
    if method in ("GET", "HEAD"):
        return _json(pairs_of(store, _parameter(request, "key")))
    change(store, method, {} if method == "DELETE" else _object(body))
    if method != "POST":
        return Answer(204)
    answer = Answer(201)
    where = f"{request.location.name.rstrip('/')}/{version}/{part}/keyvals/{quote(rest[0])}/"
    answer.headers.append(("Location", where))
    return answer


def _only_reads(method: str) -> None:
    if method not in ("GET", "HEAD"):
        raise ApiRefused(405, "MethodDisabled", "method disabled")


async def _upstream(service: ClientService, name: str) -> ToldUpstream:
    for each in await upstreams_of_all(service):
        if each["name"].lower() == name.lower():
            return each
    raise ApiRefused(404, "UpstreamNotFound", "upstream not found")


def _peer(upstream: ToldUpstream, number: int) -> Plain:
    for peer in upstream["peers"]:
        if peer["id"] == number:
            found: Plain = peer
            return found
    raise ApiRefused(404, "UpstreamServerNotFound", f'server with ID "{number}" does not exist')


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise ApiRefused(400, "UpstreamBadServerId", "invalid server ID")
    return int(text)


def _parameter(request: Request, wanted: str) -> str | None:
    for name, value in parse_qsl(request.args, keep_blank_values=True, max_num_fields=20, encoding="utf-8"):
        if name == wanted:
            return value
    return None


def _fields(request: Request) -> list[str] | None:
    value = _parameter(request, "fields")
    return None if value is None else [each for each in value.split(",") if each]


async def _body(request: Request) -> bytes:
    """Read the body. Raises `ApiRefused` if there is too much of it."""
    pieces: list[bytes] = []
    size = 0
    while piece := await request.body.read():
        size += len(piece)
        if size > LONGEST:
            raise ApiRefused(413, "BodyReadError", "the body is too large")
        pieces.append(piece)
    return b"".join(pieces)


def _object(body: bytes) -> Plain:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ApiRefused(415, "JsonError", "json error: an object is expected")
    return found


def _json(found: Any, status: int = 200) -> Answer:
    text = json.dumps(found, separators=(",", ":")).encode("ascii")
    answer = Answer(status, text, content_type="application/json")
    answer.headers += [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]
    return answer
