"""`penstock proxy`: a proxy without a configuration file, or the configuration that it would have."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penstock.cli.parsing import Parser
from penstock.cli.proxy_addresses import Backend, backend, listens, mapping
from penstock.cli.proxy_ground import port_of, settled, taken
from penstock.cli.proxy_site import Flavour, Front, Group, Route, Site, written
from penstock.cli.proxy_words import explain, introduce
from penstock.config.source import shown

EXITS = (
    "0  ended by Ctrl-C or a signal, or printed",
    "1  it could not start: the address is taken, a file cannot be read",
    "2  the command line makes no sense",
)


def parser() -> Parser:
    made = Parser(
        "proxy",
        "A proxy for HTTP and WebSockets without a configuration file, in the foreground until Ctrl-C.",
        examples=(
            ("penstock proxy --from :8080 --to localhost:3000", "everything at port 8080 goes to the program at 3000"),
            (
                "penstock proxy --from :8443 --to 3000 --tls",
                "the same over https:// and wss://, with a local certificate",
            ),
            ("penstock proxy --to 3001 --to 3002 --sticky", "balance over two, a client keeps its server"),
            ("penstock proxy --to 3000 --path /ws=localhost:9000", "what begins with /ws goes elsewhere"),
            ("penstock proxy --to 3000 --print > nginx.conf", "the configuration to go on with, for nginx or Penstock"),
        ),
        exits=EXITS,
    )
    made.add_argument(
        "--from",
        dest="front",
        metavar="ADDRESS",
        action="append",
        help="where to listen: :8080, localhost:8080 (:8080)",
    )
    made.add_argument(
        "--to",
        metavar="ADDRESS",
        action="append",
        default=[],
        help="what is behind it: 3000, host:3000, https://host, unix:/path; several are balanced",
    )
    made.add_argument(
        "--path",
        metavar="/PATH=ADDRESS",
        action="append",
        default=[],
        help="what begins with this path goes there; a slash after the address takes the path away",
    )
    made.add_argument(
        "--sticky",
        nargs="?",
        const="cookie",
        choices=("cookie", "ip"),
        default="",
        help="of several servers, a client keeps its own: by a cookie (the default) or by its address",
    )
    made.add_argument("--tls", action="store_true", help="speak TLS, with a certificate made for this machine's names")
    made.add_argument("--name", metavar="NAME", action="append", default=[], help="one more name for that certificate")
    made.add_argument("--cert", metavar="FILE", help="speak TLS with this certificate (PEM, the whole chain)")
    made.add_argument("--key", metavar="FILE", help="and this key")
    made.add_argument(
        "--print",
        dest="shows",
        nargs="?",
        const="nginx",
        choices=("nginx", "penstock"),
        help="print the configuration and end: plain nginx's, or with Penstock's own directives",
    )
    return made


def run(arguments: Sequence[str]) -> int:
    reader = parser()
    given = reader.parse_args(list(arguments))
    if not given.to and not given.path:
        reader.error("where to? say --to localhost:3000")
    if (given.cert is None) != (given.key is None):
        reader.error("--cert and --key go together")
    if given.name and not given.tls:
        reader.error("--name is for the certificate of --tls")
    running = given.shows is None
    try:
        site, backends = _site(given, arguments, running=running)
    except ValueError as error:
        reader.error(shown(str(error)))
    except OSError as error:
        sys.stderr.write(f"penstock proxy: {error.filename or 'the certificate'}: {error.strerror or error}\n")
        return 1
    flavour: Flavour = given.shows or ("penstock" if _has_own_directives() else "nginx")
    text = written(site, flavour)
    if not running:
        sys.stdout.buffer.write(text.encode("latin-1"))
        sys.stdout.flush()
        return 0
    if busy := next((each for each in site.fronts[0].listens if taken(each)), None):
        port = busy.rpartition(":")[2]
        sys.stderr.write(
            f"penstock proxy: port {port} is taken by another program (ss -ltnp 'sport = :{port}' shows which); "
            "choose another one with --from\n"
        )
        return 1
    from penstock.cli.proxy_run import run_in_foreground

    secure = bool(site.fronts[0].certificate)
    code = run_in_foreground(text, lambda: introduce(site, backends, secure=secure))
    if code and os.geteuid() and any(port_of(each) < 1024 for each in site.fronts[0].listens):
        sys.stderr.write("penstock proxy: ports below 1024 are for root (or CAP_NET_BIND_SERVICE): try --from :8080\n")
    return code


def _has_own_directives() -> bool:
    """Whether Penstock's own words for WebSockets are there; they do what the plain form does, and more."""
    from penstock.config.registry import REGISTRY
    from penstock.modules.load import known

    known()
    return all(name in REGISTRY for name in ("websocket", "websocket_ping", "websocket_drain"))


# From the command line to a site


def _site(given: Any, arguments: Sequence[str], *, running: bool) -> tuple[Site, list[Backend]]:
    where = [each for text in given.front or [":8080"] for each in listens(text)]
    certificate = _certificate(given, where)
    main = [backend(text) for text in given.to]
    groups: list[Group] = []
    routes: list[Route] = []
    paths: dict[str, list[Backend]] = {}
    bare: dict[str, bool] = {}
    for text in given.path:
        path, found, slash = mapping(text)
        paths.setdefault(path, []).append(found)
        bare[path] = slash
    if main:
        paths.setdefault("/", []).extend(main)
    for path in sorted(paths, key=lambda path: (-len(path), path)):
        name = _free_name(path, groups)
        uri = "/" if bare.get(path) else paths[path][0].uri
        groups.append(_group(name, paths[path], given.sticky, running=running))
        routes.append(Route(path, name, uri))
    note = "penstock proxy " + " ".join(shlex.quote(shown(each)) for each in _without_print(arguments))
    front = Front(tuple(where), tuple(routes), certificate=certificate[0], key=certificate[1])
    notes = (re.sub(r"[^\x20-\x7e]", "?", note),)
    return Site(tuple(groups), (front,), notes), [each for found in paths.values() for each in found]


def _without_print(arguments: Sequence[str]) -> list[str]:
    """The command line that would run what is printed."""
    kept: list[str] = []
    before = ""
    for each in arguments:
        if not each.startswith("--print") and not (before == "--print" and not each.startswith("-")):
            kept.append(each)
        before = each
    return kept


def _free_name(path: str, groups: list[Group]) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", path.lower()).strip("_") or "app"
    taken = {group.name for group in groups}
    return next(each for number in range(1, 1000) if (each := name if number == 1 else f"{name}_{number}") not in taken)


def _group(name: str, backends: list[Backend], sticky: Any, *, running: bool) -> Group:
    first = backends[0]
    if any((each.secure, each.uri) != (first.secure, first.uri) for each in backends):
        raise ValueError("servers of one path must all be http:// or all https://, and have the same path themselves")
    servers = tuple(settled(each) if running else each.server for each in backends)
    host = "" if not first.secure or first.local else str(first.address.host)
    return Group(name, servers, secure=first.secure, host=host, sticky=sticky)


def _certificate(given: Any, where: list[str]) -> tuple[str, str]:
    """Paths of a certificate and its key, "" without TLS."""
    if given.cert is not None:
        return _absolute(given.cert), _absolute(given.key)
    if not given.tls:
        return "", ""
    from penstock.cli.proxy_certificate import local_pair

    own = os.uname().nodename.lower()
    names = ["localhost", "*.localhost", *([own] if re.fullmatch(r"[a-z0-9.-]+", own) else []), "127.0.0.1", "::1"]
    names += [each.rpartition(":")[0].strip("[]").lower() for each in where if ":" in each and "unix:" not in each]
    names += [shown(name).lower() for name in given.name]
    pair = local_pair(tuple(dict.fromkeys(name for name in names if name not in ("", "::", "0.0.0.0", "*"))))
    explain(pair.authority, made=pair.made)
    return os.fsencode(pair.certificate).decode("latin-1"), os.fsencode(pair.key).decode("latin-1")


def _absolute(path: str) -> str:
    found = Path(os.fsdecode(path.encode("latin-1"))).absolute()
    with found.open("rb"):
        pass
    return os.fsencode(found).decode("latin-1")
