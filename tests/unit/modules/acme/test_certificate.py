"""Which certificates a configuration orders, and which files stand for `$acme_certificate`."""

import os
from pathlib import Path

import pytest

from penstock.config.errors import ConfigFailed
from penstock.config.inputs import Record, Replay, using
from penstock.modules.acme.orders import Order, orders_of
from penstock.modules.acme.self_signed import self_signed
from penstock.modules.load import load
from penstock.plan.plan import Plan

FILES = "ssl_certificate $acme_certificate; ssl_certificate_key $acme_certificate_key;"


def written(tmp_path: Path, servers: str) -> Path:
    path = tmp_path / "nginx.conf"
    path.write_text(
        f"events {{ }} http {{ acme_issuer a {{ uri https://ca.test/dir; state_path st; }} {FILES} {servers} }}"
    )
    return path


def plan(tmp_path: Path, servers: str) -> Plan:
    return load(str(written(tmp_path, servers)), prefix=f"{tmp_path}/")


def orders(tmp_path: Path, servers: str) -> tuple[Order, ...]:
    return orders_of(plan(tmp_path, servers))


def test_the_names_of_a_server_are_ordered_or_those_that_are_listed(tmp_path: Path) -> None:
    one, two = orders(
        tmp_path,
        "server { listen 443 ssl; server_name a.test www.a.test ~^b; acme_certificate a; }"
        "server { listen 443 ssl; server_name c.test; acme_certificate a D.test 192.0.2.1 key=rsa:2048; }",
    )
    assert (one.identifiers, one.key) == (("a.test", "www.a.test"), "ecdsa:256")
    assert (two.identifiers, two.key) == (("d.test", "192.0.2.1"), "rsa:2048")
    assert one.certificate_file.startswith(f"{tmp_path}/st/a.test-") and one.certificate_file != two.certificate_file


def test_two_servers_of_the_same_names_share_a_certificate(tmp_path: Path) -> None:
    server = "server {{ listen {}; acme_certificate a a.test; }}"
    assert len(orders(tmp_path, server.format("443 ssl") + server.format("8443 ssl"))) == 1


def test_a_server_shows_what_is_there_and_a_self_signed_one_before(tmp_path: Path) -> None:
    text = "server { listen 443 ssl; server_name a.test; acme_certificate a; }"
    before = plan(tmp_path, text)
    (order,) = orders_of(before)
    assert before.servers[0].tls.able
    certificate, key = self_signed(("a.test",))
    (tmp_path / "st").mkdir()
    Path(order.certificate_file).write_text(certificate)
    Path(order.key_file).write_text("no key")
    with pytest.raises(ConfigFailed, match="PEM_read_bio_PrivateKey"):
        plan(tmp_path, text)
    Path(order.key_file).write_text(key)
    assert plan(tmp_path, text).servers[0].tls.able


def test_all_processes_show_the_same_self_signed_one(tmp_path: Path) -> None:
    """A worker makes its plan of what the master has recorded."""
    path = written(tmp_path, "server { listen 443 ssl; server_name a.test; acme_certificate a; }")
    record = Record()
    with using(record):
        load(str(path), prefix=f"{tmp_path}/")
    with using(Replay(record.pack(), [(name, os.dup(fd)) for name, fd in record.memories])):
        assert load(str(path), prefix=f"{tmp_path}/").servers[0].tls.able


def test_without_an_order_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigFailed, match='without "acme_certificate"'):
        plan(tmp_path, "server { listen 443 ssl; server_name a.test; }")


def test_a_certificate_that_nobody_would_see_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    issuer = "acme_issuer a { uri https://ca.test/dir; }"
    path.write_text(f"events {{ }} http {{ {issuer} server {{ listen 80; server_name a.test; acme_certificate a; }} }}")
    made = load(str(path), prefix=f"{tmp_path}/")
    assert orders_of(made) == ()
    assert ["no certificate is ordered" in problem.message for problem in made.problems] == [True]
