"""Servers that are set, added and removed while the program runs; and `state`, which keeps them over a restart.

nginx: the API of its paid edition (https://nginx.org/en/docs/http/ngx_http_api_module.html), whose words for what is
wrong are used here, and `state` of ngx_http_upstream_module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields
from time import time
from typing import TYPE_CHECKING, Any

from penstock.config.addresses import peer_address
from penstock.config.os_errors import os_failure
from penstock.config.values import whole_seconds
from penstock.modules.upstream.server import LONGEST_ROUTE
from penstock.modules.upstream.upstream import UPSTREAMS
from penstock.observe.errorlog import NOTICE, report
from penstock.shared.steering import STEERING, SteeringMemory
from penstock.shared.versioned_text import State, TooMuch
from penstock.shared.whole_file import write_whole
from penstock.upstream.peers.peers import Peer, ServerOptions
from penstock.upstream.peers.slow_start import starting_slowly
from penstock.upstream.peers.steering import NumberedPeer, Steering, next_number, numbered

if TYPE_CHECKING:
    from penstock.plan.plan import Plan
    from penstock.upstream.peers.group import Group

LARGEST = 2**31 - 1
MOST_ADDED = 1000
"""Servers that may be added to one upstream."""


class SteeringRefused(Exception):
    """Raised for a change that is not made: with nginx's status and code for it. Nothing has been changed."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


def steer(plan: Plan) -> int:
    """Let all groups of a plan go by what is set. Return the version of that."""
    memory, upstreams = plan.shared.get(STEERING), plan.shared.get(UPSTREAMS)
    if memory is None or upstreams is None:
        return 0
    with memory:
        state, version = memory.read(), memory.version
    for name, group in upstreams.groups.items():
        plain = state.get(name)
        if plain is not None or group.steering is not None:
            group.steer(None if plain is None else Steering.read(plain))
            _start_slowly(group)
    return version


def _start_slowly(group: Group) -> None:
    """Let a group have a balancer that knows `slow_start` from when a server of it has one: the file may name none."""
    if any(peer.options.slow_start for peer in group.peers):
        # What can not start slowly was refused when it was set; a new configuration may have another method since.
        with suppress(ValueError):
            group.balancer = starting_slowly(group.balancer)


def follow_steering(plan: Plan, version: int) -> None:
    """Say that this worker goes by a version of what is set."""
    memory = plan.shared.get(STEERING)
    if memory is not None:
        memory.follow(version)


def find_group(plan: Plan, name: str) -> Group:
    """Find an upstream. Raises `SteeringRefused`."""
    upstreams = plan.shared.get(UPSTREAMS)
    group = None if upstreams is None else upstreams.find(name)
    if group is None:
        raise SteeringRefused(404, "UpstreamNotFound", "upstream not found")
    return group


def find_peer(group: Group, which: int | str) -> NumberedPeer:
    """Find a peer by its number, or by its address. Raises `SteeringRefused`."""
    for each in numbered(group):
        if each.number == which or which in (each.peer.name, each.peer.server):
            return each
    raise SteeringRefused(404, "UpstreamServerNotFound", f'server with ID "{which}" does not exist')


def set_server(plan: Plan, upstream: str, which: int | str, given: Mapping[str, Any]) -> int:
    """Set options of a server, and return its number. Raises `SteeringRefused`."""
    steer(plan)
    group = find_group(plan, upstream)
    found = find_peer(group, which)
    changed = read_options({name: value for name, value in given.items() if name != "server"})
    if "backup" in changed:
        raise SteeringRefused(400, "UpstreamConfFormatError", 'unknown parameter "backup"')
    if "server" in given and given["server"] not in (found.peer.name, found.peer.server):
        text = f'server "{found.number}" address is immutable'
        raise SteeringRefused(400, "UpstreamServerImmutable", text)
    _refuse_slow_start(group, changed)

    def change(plain: dict[str, Any]) -> None:
        for each in plain["added"]:
            if each["id"] == found.number:
                each["options"] = {**each["options"], **changed}
                each["at"] = time()
                return
        known = plain["set"].get(found.key, {"options": {}})
        options = {**known["options"], **changed}
        kept = {name: value for name, value in options.items() if getattr(found.peer.given, name) != value}
        if kept:
            plain["set"][found.key] = {"options": kept, "at": time()}
        else:
            plain["set"].pop(found.key, None)

    _change(plan, group, change, f"{found.peer.name}: {_shown(changed)}")
    return found.number


def add_server(plan: Plan, upstream: str, given: Mapping[str, Any]) -> int:
    """Add a server, and return its number. One of the configuration that was removed comes back. Raises
    `SteeringRefused`."""
    steer(plan)
    group = find_group(plan, upstream)
    server = given.get("server")
    if not isinstance(server, str) or not server:
        raise SteeringRefused(400, "UpstreamConfFormatError", 'missing "server" argument')
    options = read_options({name: value for name, value in given.items() if name != "server"})
    server = _address(server)
    if options.get("backup") and group.backup is None:
        raise SteeringRefused(400, "UpstreamNoBackup", f'upstream "{upstream}" has no backup')
    if any(server in (each.peer.name, each.peer.server) for each in numbered(group)):
        raise SteeringRefused(409, "EntryExists", "entry exists")
    _refuse_slow_start(group, options)
    number = -1

    def change(plain: dict[str, Any]) -> None:
        nonlocal number
        if len(plain["added"]) >= MOST_ADDED:
            raise SteeringRefused(400, "UpstreamOutOfMemory", f'upstream "{upstream}" memory exhausted')
        number = next_number(group, plain)
        plain["next"] = number + 1
        plain["added"].append({"id": number, "server": server, "options": options, "at": time()})

    _change(plan, group, change, f"{server} added")
    return number


def remove_server(plan: Plan, upstream: str, which: int | str) -> None:
    """Remove a server; what it has under way ends in its own time. Raises `SteeringRefused`."""
    steer(plan)
    group = find_group(plan, upstream)
    found = find_peer(group, which)

    def change(plain: dict[str, Any]) -> None:
        before = len(plain["added"])
        plain["added"] = [each for each in plain["added"] if each["id"] != found.number]
        if not found.added:
            plain["set"].pop(found.key, None)
            if found.key not in plain["removed"]:
                plain["removed"].append(found.key)
        elif len(plain["added"]) == before:
            raise SteeringRefused(404, "UpstreamServerNotFound", f'server with ID "{which}" does not exist')

    _change(plan, group, change, f"{found.peer.name} removed")


def reset_group(plan: Plan, upstream: str) -> None:
    """Go by the configuration alone again. Raises `SteeringRefused`."""
    steer(plan)
    group = find_group(plan, upstream)
    _change(plan, group, lambda plain: plain.clear(), "as configured")


def read_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Read options as nginx's API writes them. Raises `SteeringRefused`."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, (dict, list)):
            raise SteeringRefused(400, "UpstreamConfFormatError", "nested object or list")
        reader = _READERS.get(name)
        if reader is None:
            raise SteeringRefused(400, "UpstreamConfFormatError", f'unknown parameter "{_printable(name)}"')
        read, code = reader
        try:
            found[name] = read(value)
        except (ValueError, OverflowError):
            text = f'invalid "{name}"' if code.startswith("UpstreamBad") else f'invalid "{name}" value'
            raise SteeringRefused(400, code, text) from None
    return found


def _refuse_slow_start(group: Group, options: Mapping[str, Any]) -> None:
    """Refuse `slow_start` where the method of the group could not follow it."""
    if options.get("slow_start"):
        try:
            starting_slowly(group.balancer)
        except ValueError as error:
            raise SteeringRefused(400, "UpstreamBadSlowStart", str(error)) from None


def _change(plan: Plan, group: Group, change: Callable[[dict[str, Any]], None], words: str) -> None:
    memory = plan.shared.get(STEERING)
    assert memory is not None, "where there is a group there is one"
    name = group.name.lower()
    with memory:
        state = memory.read()
        plain = {"next": 0, "set": {}, "added": [], "removed": [], **state.get(name, {})}
        change(plain)
        _store(memory, state, name, plain, group)
    steer(plan)
    report(None, NOTICE, f'upstream "{group.name}": {words}')


def _store(memory: SteeringMemory, state: State, name: str, plain: dict[str, Any], group: Group) -> None:
    before = dict(state)
    if plain.get("set") or plain.get("added") or plain.get("removed"):
        state[name] = plain
    else:
        state.pop(name, None)
    if group.state_file:
        earlier = group.steering
        group.steer(Steering.read(plain) if plain else None)
        try:
            write_state(group)
        except OSError as error:
            group.steer(earlier)
            text = os_failure("open()", error, group.state_file)
            raise SteeringRefused(500, "InternalError", text) from None
    try:
        memory.write(state)
    except TooMuch as error:
        state.clear()
        state.update(before)
        raise SteeringRefused(400, "UpstreamOutOfMemory", str(error)) from None


def write_state(group: Group) -> None:
    """Write the servers of a group into its file, as lines of a configuration. Raises `OSError`."""
    lines: dict[str, None] = {}
    for each in numbered(group):
        lines[f"server {each.peer.server}{server_parameters(each.peer)};\n"] = None
    write_whole(group.state_file, "".join(lines).encode("latin-1"))


def server_parameters(peer: Peer) -> str:
    """Write the options of a peer as the parameters of a `server` line, each after a space."""
    options, usual = peer.options, ServerOptions()
    words = []
    for each in fields(ServerOptions):
        value = getattr(options, each.name)
        if value == getattr(usual, each.name):
            continue
        if value is True:
            words.append(f" {each.name}")
        elif isinstance(value, float):
            words.append(f" {each.name}={value:g}s")
        else:
            words.append(f" {each.name}={value}")
    return "".join(words)


def _address(server: str) -> str:
    try:
        address = peer_address(server)
    except ValueError as error:
        raise SteeringRefused(400, "UpstreamBadAddress", f'{error} in "{_printable(server)}"') from None
    if address.family == "name":
        text = f'"{_printable(server)}" is a name: no resolver defined to resolve it; give an address'
        raise SteeringRefused(400, "UpstreamConfNoResolver", text)
    return str(address)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() and char.isascii() else "?" for char in text[:100])


def _shown(options: Mapping[str, Any]) -> str:
    words = {name: str(value).lower() if isinstance(value, bool) else value for name, value in options.items()}
    return ", ".join(f"{name}={value}" for name, value in words.items())


def _count(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 11:
        value = int(value)
    if type(value) is not int or not 0 <= value <= LARGEST:
        raise ValueError(value)
    return value


def _weight(value: Any) -> int:
    found = _count(value)
    if not 1 <= found <= 65535:
        raise ValueError(value)
    return found


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise ValueError(value)
    return bool(value == "true")


def _seconds(value: Any) -> float:
    return float(_count(value)) if type(value) is int else float(whole_seconds(_text(value)))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(value)
    return value


def _route(value: Any) -> str:
    text = _text(value)
    if len(text) > LONGEST_ROUTE or not text.isascii() or not text.isprintable() or set(text) & set(" ;{}\"'\\$"):
        raise ValueError(value)
    return text


_READERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "weight": (_weight, "UpstreamBadWeight"),
    "max_conns": (_count, "UpstreamBadMaxConns"),
    "max_fails": (_count, "UpstreamBadMaxFails"),
    "fail_timeout": (_seconds, "UpstreamBadFailTimeout"),
    "slow_start": (_seconds, "UpstreamBadSlowStart"),
    "route": (_route, "UpstreamBadRoute"),
    "backup": (_flag, "UpstreamConfFormatError"),
    "down": (_flag, "UpstreamConfFormatError"),
    "drain": (_flag, "UpstreamConfFormatError"),
}
