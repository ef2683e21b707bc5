"""`penstock init`: a configuration for what is in this folder. It asks nothing, and overwrites nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from penstock.cli.init.folder import Folder
from penstock.cli.init.frameworks import FoundFramework, find
from penstock.cli.init.languages import language
from penstock.cli.parsing import Parser
from penstock.cli.proxy.addresses import has_ipv6
from penstock.cli.proxy.site import Front, ProxiedGroup, ProxiedSite, Route, written

EXITS = (
    "0  written, or printed",
    "1  there is a configuration already, or nothing was found that it could be for",
    "2  the command line makes no sense",
)
_FIRST_PORT = 8080
_GUESS = "  That port is a guess: look where it listens, and put it right in the upstream."


def parser() -> Parser:
    made = Parser(
        "init",
        "Look into a project's folder for FastAPI, Django Channels, Socket.IO, Streamlit, Phoenix, Rails, Vite and\n"
        "others, and write a commented nginx.conf for it, with what is sure and what is a guess. Asks nothing,\n"
        "overwrites nothing.",
        examples=(
            ("penstock init", "writes ./nginx.conf"),
            ("penstock init --print", "shows what it would write"),
            ("penstock init --for penstock ../chat", "for another folder, with Penstock's own directives"),
        ),
        exits=EXITS,
    )
    made.add_argument("folder", nargs="?", default=".", metavar="FOLDER", help="the project (this folder)")
    made.add_argument("-o", "--output", metavar="FILE", help="the file to write (FOLDER/nginx.conf)")
    made.add_argument(
        "--for",
        dest="flavour",
        choices=("nginx", "penstock"),
        default="nginx",
        help="plain directives that nginx has, too, or Penstock's own (nginx)",
    )
    made.add_argument("--print", dest="shows", action="store_true", help="print it and write nothing")
    return made


def run(arguments: Sequence[str]) -> int:
    given = parser().parse_args(list(arguments))
    path = Path(os.fsdecode(given.folder.encode("latin-1")))
    if not path.is_dir():
        return _refuse(f"{path} is not a folder")
    output = path / "nginx.conf" if given.output is None else Path(os.fsdecode(given.output.encode("latin-1")))
    if not given.shows and output.exists():
        return _refuse(
            f"{output} is there already, and stays as it is",
            f"penstock check -c {output}    says what is wrong with it",
            "penstock init --print    shows what would have been written",
        )
    folder = Folder(path)
    found = find(folder)
    if not found:
        title, because = language(folder)
        return _refuse(
            f"{because} says that this is {title}, and nothing here says at which port it listens"
            if title
            else "no framework was found here (looked into pyproject.toml, requirements*.txt, package.json, Gemfile, "
            "mix.exs, Procfile, Dockerfile, compose files, manage.py and sources)",
            f"penstock proxy --to localhost:PORT --print > {output}    writes one for any program",
        )
    text = written(_site(found), given.flavour)
    if given.shows:
        sys.stdout.buffer.write(text.encode("latin-1"))
        return 0
    try:
        with output.open("xb") as file:
            file.write(text.encode("latin-1"))
    except OSError as error:
        return _refuse(f"{output}: {error.strerror}")
    _report(found, output)
    return 0


def _refuse(words: str, *advice: str) -> int:
    lines = [f"penstock init: {words}", *(f"  {line}" for line in advice)]
    sys.stderr.write("".join(f"{_printable(line)}\n" for line in lines))
    return 1


def _site(found: list[FoundFramework]) -> ProxiedSite:
    groups, fronts = [], []
    for number, each in enumerate(found):
        framework, port = each.framework, _FIRST_PORT + number
        sure = "It listens on" if each.sure else "It may listen on"
        notes = (*framework.notes, f"{sure} port {each.port} ({_ascii(each.port_from)}).")
        groups.append(ProxiedGroup(each.name, (f"127.0.0.1:{each.port}",)))
        listens = (f"{port}", *((f"[::]:{port}",) if has_ipv6() else ()))
        title = f"{framework.title}, found by {_ascii(each.because)}"
        fronts.append(Front(listens, (Route("/", each.name, notes=notes),), notes=(title,), lines=_TLS))
    head = (
        "Written by `penstock init`; yours to change. It runs with nginx, too.",
        "",
        "    penstock -t -p . -e stderr -c nginx.conf     is it fine?",
        "    penstock -p . -e stderr -c nginx.conf        run it in this terminal; Ctrl-C ends it",
    )
    return ProxiedSite(tuple(groups), tuple(fronts), head, _MAIN)


_MAIN = (
    "daemon off;           # stay in the terminal; a service manager wants that, too",
    "error_log stderr;",
    "pid penstock.pid;",
)
_TLS = (
    "# server_name example.com;",
    "# For https:// and wss://, add `listen 443 ssl;` and:",
    "# ssl_certificate     /etc/letsencrypt/live/example.com/fullchain.pem;",
    "# ssl_certificate_key /etc/letsencrypt/live/example.com/privkey.pem;",
)


def _ascii(text: str) -> str:
    return "".join(char if " " <= char <= "~" else "?" for char in text)


def _report(found: list[FoundFramework], output: Path) -> None:
    lines = []
    for number, each in enumerate(found):
        framework = each.framework
        lines += [
            f"Found {framework.title} ({each.because}).",
            f"  http://localhost:{_FIRST_PORT + number}/ goes to port {each.port} ({each.port_from})",
            *(() if each.sure else (_GUESS,)),
        ]
        if framework.start:
            lines.append(f"  start it: {framework.start.replace('PORT', str(each.port))}")
    folder = output.parent
    lines += [
        f"Wrote {output}. Next:",
        f"  penstock -p {folder} -e stderr -c {output.name}",
    ]
    sys.stdout.write("".join(f"{_printable(line)}\n" for line in lines))


def _printable(text: str) -> str:
    """Names of files are others' words."""
    return "".join(char if char.isprintable() else "?" for char in text)
