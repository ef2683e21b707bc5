"""Numbers, sizes, times and rates as nobody means them: refused with a message, whatever directive they stand in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.repeated import LEVELS, Bench, lines
from harness.site import compiled, mistakes
from penstock.config.errors import ConfigFailed
from penstock.config.registry import REGISTRY, Verdict

LINES = lines()
ODD = ["9" * 4000, "\xb2", "--1", "-", "1_0", "+1", "1r/mr/s", "0x10", "1e3", "1.5.5", "9223372036854775808"]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("odd"))


@pytest.mark.parametrize("odd", ODD, ids=[f"odd{number}" for number in range(len(ODD))])
@pytest.mark.parametrize("level", LEVELS)
def test_every_number_is_read_or_refused(bench: Bench, level: str, odd: str) -> None:
    """Nothing but `ConfigFailed` comes out of it."""
    for line in LINES:
        if line.level != level or line.name in ("listen", "server") or not re.search(r"[0-9]", line.text):
            continue
        for number in re.finditer(r"(?<![A-Za-z$._/0-9-])[0-9]+", line.text):
            text = line.text[: number.start()] + odd + line.text[number.end() :]
            try:
                compiled(bench.text(line._replace(text=text), 1), bench.folder)
            except ConfigFailed:
                continue


@pytest.mark.parametrize("level", LEVELS)
def test_a_unit_stands_once(bench: Bench, level: str) -> None:
    """`64kk`, `30sk` and their kin are no sizes and no times."""
    taken = []
    for line in LINES:
        match = re.fullmatch(r"(?:\w+|\w+_buffers [0-9]+) ([0-9]+)([kms]);", line.text)
        if line.level != level or match is None:
            continue
        if any(spec.verdict is not Verdict.IMPLEMENTED for spec in REGISTRY.specs(line.name)):
            continue
        for unit in ("kk", "mk", "sk", "ss", "km"):
            text = line.text.replace(f"{match[1]}{match[2]};", f"{match[1]}{unit};")
            try:
                compiled(bench.text(line._replace(text=text), 1), bench.folder)
            except ConfigFailed:
                continue
            taken.append(text)
    assert not taken


@pytest.mark.parametrize(
    "rate", ["5r/mr/s", "5r/sr/m", "5r/sr/s", "r/s", "0r/s", "-5r/s", "5r", "5r/h", "5 r/s", "\xb2r/s", "5.5r/s", ""]
)
def test_rates(tmp_path: Path, rate: str) -> None:
    zone = f'limit_req_zone $uri zone=a:1m "rate={rate}"; server {{ listen 127.0.0.1:80; }}'
    assert mistakes(zone, tmp_path) == [f'invalid rate "rate={rate}"']


@pytest.mark.parametrize("rate", ["5", "5r/s", "300r/m"])
def test_good_rates(tmp_path: Path, rate: str) -> None:
    assert not mistakes(f"limit_req_zone $uri zone=a:1m rate={rate}; server {{ listen 127.0.0.1:80; }}", tmp_path)


@pytest.mark.parametrize("rate", ["5r/mr/s", "5", "5r/", "r/s", "0r/s", "\xb2r/s"])
def test_rates_of_messages(tmp_path: Path, rate: str) -> None:
    found = mistakes(f"server {{ listen 127.0.0.1:80; websocket_rate {rate}; }}", tmp_path)
    assert found == [f'invalid value "{rate}" in "websocket_rate" directive']


@pytest.mark.parametrize("value", ["1_0", "\xb2", "--1", "0", "9" * 4000, "-2"])
def test_backlogs(tmp_path: Path, value: str) -> None:
    assert mistakes(f"server {{ listen 127.0.0.1:80 backlog={value}; }}", tmp_path) == [f'invalid backlog "{value}"']


@pytest.mark.parametrize("value", ["1:1:1_0", "::\xb2", f"::{'9' * 4000}", "1:1:1:1", ":"])
def test_keepalives(tmp_path: Path, value: str) -> None:
    found = mistakes(f"server {{ listen 127.0.0.1:80 so_keepalive={value}; }}", tmp_path)
    assert found == [f'invalid so_keepalive value: "{value}"']
