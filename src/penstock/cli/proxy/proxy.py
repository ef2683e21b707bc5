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
from penstock.cli.proxy.addresses import ProxiedAddress, backend, listens, mapping
from penstock.cli.proxy.ground import answering_address, holder_of, port_of, taken
from penstock.cli.proxy.ordered import OrderedSite, ordered_site, prepare
from penstock.cli.proxy.site import Flavour, Front, ProxiedGroup, ProxiedSite, Route, written
from penstock.cli.proxy.words import explain, introduce
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
            (
                "penstock proxy --from chat.example.org --to 3000",
                "https:// with a certificate from Let's Encrypt, at ports 443 and 80",
            ),
            ("penstock proxy --to 3001 --to 3002 --sticky", "balance over two, a client keeps its server"),
            ("penstock proxy --to 3000 --path /ws=localhost:9000", "what begins with /ws goes elsewhere"),
            ("penstock proxy --to 3000 --print > nginx.conf", "a configuration file for nginx or Penstock"),
        ),
        exits=EXITS,
    )
    made.add_argument(
        "--from",
        dest="front",
        metavar="ADDRESS",
        action="append",
        help="where to listen: :8080, localhost:8080 (:8080); or a name that leads here: it gets a certificate",
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
        "--issuer",
        metavar="URL",
        help="for --from NAME: who issues its certificate, as the address of an ACME directory (Let's Encrypt); "
        "to order is to accept its terms of service",
    )
    made.add_argument("--email", metavar="ADDRESS", help="for --from NAME: where the issuer may write to")
    made.add_argument(
        "--issuer-cafile", metavar="FILE", help="for --from NAME: what vouches for the issuer itself (PEM)"
    )
    made.add_argument(
        "--http-port",
        metavar="PORT",
        help="for --from NAME: where http:// is sent on to https://, and the issuer asks (80); off: the issuer asks at "
        "the port of https://",
    )
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
        ordered = _ordered(given)
        site, backends = _site(given, arguments, ordered, running=running)
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
    if ordered is not None and (words := prepare(ordered)):
        sys.stderr.write(f"penstock proxy: {shown(words)}\n")
        return 1
    listened = [each for front in site.fronts for each in front.listens]
    if busy := next((each for each in listened if taken(each)), None):
        port = port_of(busy)
        who = holder_of(busy) or f"another program (ss -ltnp 'sport = :{port}' shows which)"
        sys.stderr.write(f"penstock proxy: port {port} is taken by {shown(who)}; {_other_ports(ordered)}\n")
        return 1
    from penstock.cli.proxy.run import run_in_foreground

    code = run_in_foreground(text, lambda: introduce(site, backends))
    if code and os.geteuid() and any(port_of(each) < 1024 for each in listened):
        words = "ports below 1024 are for root (or CAP_NET_BIND_SERVICE)"
        sys.stderr.write(f"penstock proxy: {words}; {_other_ports(ordered)}\n")
    return code


def _other_ports(ordered: OrderedSite | None) -> str:
    """What to do about ports that can not be had."""
    if ordered is None:
        return "choose another one with --from, as in --from :8080"
    name = ordered.names[0]
    return f"others, that 443 and 80 of {name} are forwarded to, are chosen with --from {name}:8443 --http-port 8080"


def _ordered(given: Any) -> OrderedSite | None:
    """What is said of a certificate to order; None if there is none, or another one."""
    if given.tls or given.cert is not None:
        return ordered_site((), given.issuer, given.email, given.issuer_cafile, given.http_port)
    trusted = None if given.issuer_cafile is None else _absolute(given.issuer_cafile)
    return ordered_site(given.front or (), given.issuer, given.email, trusted, given.http_port)


def _has_own_directives() -> bool:
    """Whether Penstock's own words for WebSockets are there; they do what the plain form does, and more."""
    from penstock.config.registry import REGISTRY
    from penstock.modules.load import known

    known()
    return all(name in REGISTRY for name in ("websocket", "websocket_ping", "websocket_drain"))


# From the command line to a site


def _site(
    given: Any, arguments: Sequence[str], ordered: OrderedSite | None, *, running: bool
) -> tuple[ProxiedSite, list[ProxiedAddress]]:
    main = [backend(text) for text in given.to]
    groups: list[ProxiedGroup] = []
    routes: list[Route] = []
    paths: dict[str, list[ProxiedAddress]] = {}
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
    notes: tuple[str, ...] = (re.sub(r"[^\x20-\x7e]", "?", note),)
    every = [each for found in paths.values() for each in found]
    if ordered is None:
        where = [each for text in given.front or [":8080"] for each in listens(text)]
        front = Front(tuple(where), tuple(routes), *_certificate(given, where))
        return ProxiedSite(tuple(groups), (front,), notes), every
    if not running:
        notes += ("nginx needs its ACME module for this, and a resolver: load_module modules/ngx_http_acme_module.so;",)
    log = ("error_log stderr notice;   # it says when the certificate has come",)
    return ProxiedSite(tuple(groups), ordered.fronts(tuple(routes)), notes, log, ordered.issuer), every


def _without_print(arguments: Sequence[str]) -> list[str]:
    """The command line that would run what is printed."""
    kept: list[str] = []
    before = ""
    for each in arguments:
        if not each.startswith("--print") and not (before == "--print" and not each.startswith("-")):
            kept.append(each)
        before = each
    return kept


def _free_name(path: str, groups: list[ProxiedGroup]) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", path.lower()).strip("_") or "app"
    taken = {group.name for group in groups}
    return next(each for number in range(1, 1000) if (each := name if number == 1 else f"{name}_{number}") not in taken)


def _group(name: str, backends: list[ProxiedAddress], sticky: Any, *, running: bool) -> ProxiedGroup:
    first = backends[0]
    if any((each.secure, each.uri) != (first.secure, first.uri) for each in backends):
        raise ValueError("servers of one path must all be http:// or all https://, and have the same path themselves")
    servers = tuple(answering_address(each) if running else each.server for each in backends)
    host = "" if not first.secure or first.local else str(first.address.host)
    return ProxiedGroup(name, servers, secure=first.secure, host=host, sticky=sticky)


def _certificate(given: Any, where: list[str]) -> tuple[str, str]:
    """Paths of a certificate and its key, "" without TLS."""
    if given.cert is not None:
        return _absolute(given.cert), _absolute(given.key)
    if not given.tls:
        return "", ""
    from penstock.cli.proxy.certificate import local_pair

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
