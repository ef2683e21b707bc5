"""`penstock check` raises no false alarm: the demo, the configurations people copy, those of well-known applications.

A note is no alarm (it fails nothing, and is not shown unless asked for); warnings and errors are, and each that there
is stands here with the reason why it is right.
"""

import re
from pathlib import Path

import pytest

from harness.proxy import Proxy
from integration.test_applications import APPLICATIONS, FILES, NAMES, PACKAGED
from integration.test_seeds import SEEDS
from penstock.cli.check.dry_run import rehearser
from penstock.cli.reading import read
from penstock.doctor.check import Report, check
from penstock.doctor.finding import WARNING
from penstock.doctor.reports.report import as_text
from penstock.doctor.site.machine import Machine
from penstock.doctor.site.site import CheckedProgram
from penstock.process.startup.launch import Launch

ROOT = Path(__file__).resolve().parents[2]
MACHINE = Machine(descriptors=10_000, most_descriptors=1_048_576, ports=28_232, cores=2, root=True)
DEPRECATED = "config: ssl on is gone from nginx since 1.25.1, and nginx -t says so too"
STAPLING = "config: answers of OCSP responders are not sent along, and ssl_stapling says so"
HARDENING = "a client that asks for h2c reaches what a password, or the portal, guards on the same backend"
EVERYTHING = "a literal Connection in a location / that serves pages too: keep-alive is lost"
POLLING = "a literal Connection where polling always comes, too"
HIJACKING = "the application's documentation takes the check of origins away; any page may open its sockets"
RIGHT: dict[str, dict[str, str]] = {
    "nginx-blog-ssl": {"config": DEPRECATED},
    "action-cable": {"origin-removed": HIJACKING},
    "jupyterhub": {"config": STAPLING, "origin-removed": HIJACKING},
    "code-server": {"connection-literal": EVERYTHING},
    "phoenix-liveview": {"connection-literal": EVERYTHING},
    "rocket-chat": {"connection-literal": EVERYTHING},
    "socket-io": {"connection-literal": POLLING},
    "linuxserver-style": {"config": STAPLING, "h2c-upgrade": HARDENING},
    "vaultwarden": {"h2c-upgrade": HARDENING},
}
"""Warnings on configurations that work, and why they are given all the same."""


def looked_at(path: Path, *, nginx: bool = False) -> Report:
    launch = Launch(f"{path.parent}/", str(path), "")
    found = read(launch, {})
    return check(
        found.tree,
        found.sources,
        found.problems,
        target=CheckedProgram(nginx),
        machine=MACHINE,
        piece=found.piece,
        rehearse=rehearser(launch, {}, found),
    )


def alarms(report: Report) -> set[str]:
    return {each.rule for each in report.at_least(WARNING)}


def test_the_demo() -> None:
    report = looked_at(ROOT / "demo" / "nginx.conf")
    assert not alarms(report), as_text(report)
    assert report.findings == (), as_text(report)


@pytest.mark.parametrize("nginx", [False, True], ids=["penstock", "nginx"])
@pytest.mark.parametrize("name", SEEDS)
def test_seeds(name: str, nginx: bool, tmp_path: Path) -> None:
    front = Proxy(SEEDS[name].text(), directory=tmp_path, values={"certificate": "/a", "key": "/b"})
    report = looked_at(front.directory / "nginx.conf", nginx=nginx)
    assert alarms(report) == set(RIGHT.get(name, ())), as_text(report)
    assert {each.rule for each in report.findings} - {"config", "machine"} <= {"timeout-default", "host-missing"}


@pytest.mark.parametrize("name", NAMES)
def test_applications(name: str, tmp_path: Path) -> None:
    text = re.sub(r"\{value:\w+\}", "/nowhere", (APPLICATIONS / f"{name}.conf").read_text("utf-8"))
    front = Proxy(PACKAGED, directory=tmp_path, files={**FILES, "conf.d/site.conf": text})
    report = looked_at(front.directory / "nginx.conf")
    assert alarms(report) == set(RIGHT.get(name, ())), as_text(report)
