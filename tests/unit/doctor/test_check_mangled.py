"""Configurations that have been through a lot: check never fails itself, and a fix never breaks what was whole."""

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from penstock.cli.reading import torn_by
from penstock.config.errors import Problems
from penstock.config.parser import parse_text
from penstock.config.source import Source
from penstock.doctor.check import Report, check
from penstock.doctor.finding import ERROR, NOTE
from penstock.doctor.repair.repair import repair
from penstock.doctor.reports.report import as_github, as_json, as_text
from penstock.doctor.reports.sarif import as_sarif
from penstock.doctor.site.machine import Machine
from penstock.doctor.site.site import CheckedProgram

ROOT = Path(__file__).resolve().parents[3]
TEXTS = sorted((ROOT / "tests" / "corpus").rglob("*.conf"))
MACHINE = Machine(descriptors=1024, most_descriptors=None, ports=28_232, cores=2, root=False)
SCRAPS = (
    ";", "{", "}", '"', "'", "#", "$", "\\", "proxy_set_header", "proxy_set_header a;", "proxy_pass;", "proxy_pass x;",
    "map;", "map a b {}", "upstream;", "upstream u { server; }", "location;", "location {}", "if;", "auth_request;",
    "worker_connections;", "keepalive;", "listen;", "hash;", "proxy_read_timeout;", "websocket;", "\r\n", "\xff", "...",
)  # fmt: skip


def looked_at(texts: Mapping[str, str], *, nginx: bool) -> Report:
    sources: list[Source] = []
    problems = Problems()
    tree = parse_text(texts["nginx.conf"], "nginx.conf", problems, loaded=sources)
    return check(tree, sources, problems, target=CheckedProgram(nginx), machine=MACHINE, torn=torn_by(problems))


def mangled(dice: random.Random, text: str) -> str:
    for _ in range(dice.randint(1, 6)):
        start = dice.randrange(len(text) + 1)
        end = min(len(text), start + int(dice.expovariate(1 / 30)))
        match dice.randrange(4):
            case 0:
                text = text[:start] + text[end:]
            case 1:
                text = text[:start] + text[start:end] + text[start:]
            case 2:
                text = text[:start] + dice.choice(SCRAPS) + text[start:]
            case 3:
                words = text.split(" ")
                words[dice.randrange(len(words))] = dice.choice(SCRAPS)
                text = " ".join(words)
    return text


@pytest.mark.parametrize("seed", range(8))
def test_whatever_becomes_of_a_file(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(60):
        text = mangled(dice, dice.choice(TEXTS).read_text("latin-1"))
        nginx = dice.random() < 0.5
        try:
            _looks_and_repairs(text, nginx)
        except Exception as error:
            error.add_note(text)
            raise


def _looks_and_repairs(text: str, nginx: bool) -> None:
    report = looked_at({"nginx.conf": text}, nginx=nginx)
    for say in (as_text, as_json, as_github, as_sarif):
        say(report, NOTE)
    changes, done, after = repair(lambda texts: looked_at({"nginx.conf": text, **texts}, nginx=nginx), NOTE)
    assert bool(changes) == bool(done)
    assert after.count(ERROR) <= report.count(ERROR)
    _, more, _ = repair(lambda texts: looked_at({"nginx.conf": text, **changes, **texts}, nginx=nginx), NOTE)
    assert not more, "once is enough"
