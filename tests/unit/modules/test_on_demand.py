"""Modules that are on demand: their words lead to them, and without their words nothing is missed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.modules import ORDER, RARE, WORDS

STREAMS = ("STREAM", "STREAM_SERVER", "STREAM_UPSTREAM")

DECLARED = """
import json, sys
from penstock.config.registry import REGISTRY
from penstock.config.settings import KINDS
from penstock.config.vocabulary import HTTP_WORDS
from penstock.modules.load import known, load, put_in_order

def module(thing):
    return thing.__module__.removeprefix("penstock.modules.")

def owner(handle):
    names = getattr(handle, "__code__", known.__code__).co_freevars
    cells = dict(zip(names, getattr(handle, "__closure__", None) or ()))
    return module(cells["cls"].cell_contents if "cls" in cells else handle)

known()
put_in_order()
plan = load(sys.argv[1], prefix="/tmp/")
[server] = plan.servers
print(json.dumps({
    "directives": [
        (owner(spec.handle), spec.name, [each.name for each in type(spec.where) if each & spec.where])
        for spec in REGISTRY
    ],
    "variables": [(module(each.get), "$" + name, each.late) for name, each in HTTP_WORDS.variables.items()],
    "kinds": [module(kind) for kind in KINDS],
    "busy": [
        module(kind)
        for kind in KINDS if kind in server.root
        for _, _, when in kind.handlers if when(server.root[kind])
    ],
}))
"""


def run(code: str, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("plain") / "nginx.conf"
    path.write_text("events { } http { server { listen 127.0.0.1:1; } }")
    return run(DECLARED, str(path))


def test_every_word_leads_to_its_module(declared: Any) -> None:
    lost = [
        (module, name)
        for module, name, where in declared["directives"]
        if module in WORDS and not name.startswith(WORDS[module]) and not set(where) <= set(STREAMS)
    ]
    lost += [
        (module, name)
        for module, name, _ in declared["variables"]
        if module in WORDS and not name.startswith(WORDS[module])
    ]
    assert lost == []


ALONE = """
import json, os, sys
from penstock.config.registry import REGISTRY, Context
from penstock.modules.load import load
load(sys.argv[1], prefix="/tmp/")
names = json.loads(sys.argv[2])
lost = []
for name, where in names:
    child = os.fork()
    if not child:
        os._exit(REGISTRY.find(name, Context[where]) is None)
    if os.waitpid(child, 0)[1]:
        lost.append(name)
print(json.dumps(lost))
"""


def test_those_without_effect_are_found_alone(declared: Any, tmp_path: Path) -> None:
    """Each in a process that has seen no other word of its module. Whose they are, only importing it tells."""
    names = [
        (name, where[0])
        for module, name, where in declared["directives"]
        if module == "penstock.config.registry" and not set(where) <= set(STREAMS)
    ]
    assert len(names) > 100
    path = tmp_path / "nginx.conf"
    path.write_text("events { } http { server { listen 127.0.0.1:1; } }")
    assert run(ALONE, str(path), json.dumps(names)) == []


def test_what_nobody_has_configured_has_nothing_to_do(declared: Any) -> None:
    assert set(declared["busy"]) & set(WORDS) == set()


def test_who_is_told_of_a_tunnel_knows_what_is_still_to_come(declared: Any) -> None:
    """Another process may have a tunnel's line for the log, and not the module whose variable stands in it: by then
    only late ones are without a value. Tunnels have no ratio."""
    late = [name for module, name, late in declared["variables"] if late and module in WORDS]
    assert set(late) <= {"$gzip_ratio", "$brotli_ratio"}


def test_handlers_have_their_places(declared: Any) -> None:
    assert set(declared["kinds"]) <= set(ORDER)
    assert set(RARE) <= set(ORDER)


ASKED = """
import json, sys
from penstock.modules.load import load
from pathlib import Path
load(sys.argv[1], prefix=str(Path(sys.argv[1]).parent) + "/")
print(json.dumps([name for name in sys.modules if name.startswith("penstock.modules.")]))
"""


@pytest.mark.parametrize(
    ("line", "module"),
    [
        ("gzip on;", "filters.gzip"),
        ("location / { try_files $uri =404; }", "content.try_files"),
        ("add_header A $invalid_referer;", "rewrite.referer"),
        ("ssi on;", "rewrite.secure_link"),  # pages may name any variable
        ("location / { image_filter off; }", "unsupported.unsupported"),
    ],
)
def test_a_word_brings_its_module(tmp_path: Path, line: str, module: str) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text("events { } http { server { listen 127.0.0.1:1; } }")
    assert f"penstock.modules.{module}" not in run(ASKED, str(path))
    path.write_text(f"events {{ }} http {{ server {{ listen 127.0.0.1:1; {line} }} }}")
    assert f"penstock.modules.{module}" in run(ASKED, str(path))
