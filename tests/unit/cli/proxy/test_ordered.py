"""Which `--from` is a name that gets a certificate, and what is served for it."""

from pathlib import Path

import pytest

from penstock.cli.proxy.addresses import public_name
from penstock.cli.proxy.ordered import LETSENCRYPT, OrderedSite, ordered_site, prepare, state_folder
from penstock.cli.proxy.site import ProxiedSite, written


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("chat.example.org", ("chat.example.org", 443)),
        ("Chat.Example.ORG", ("chat.example.org", 443)),
        ("https://chat.example.org:8443/", ("chat.example.org", 8443)),
        ("wss://chat.example.org", ("chat.example.org", 443)),
        ("xn--bcher-kva.example", ("xn--bcher-kva.example", 443)),
        ("http://chat.example.org", None),
        ("localhost:8080", None),
        (":8080", None),
        ("192.0.2.1", None),
        ("192.0.2.1:443", None),
        ("[::1]:443", None),
        ("unix:/run/a.sock", None),
        ("-a.example.org", None),
        ("a..example.org", None),
        ("a.example.org;", None),
    ],
)
def test_what_is_a_name(text: str, found: tuple[str, int] | None) -> None:
    assert public_name(text) == found


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def ordered(*fronts: str, issuer: str | None = None, plain: str | None = None) -> OrderedSite | None:
    return ordered_site(fronts, issuer, None, None, plain)


def test_names_of_this_network_are_ordered_only_from_an_issuer_of_ones_own() -> None:
    assert ordered("chat.internal") is None
    found = ordered("chat.internal", issuer="https://ca.internal/acme/directory")
    assert found is not None and found.issuer.name == "ca.internal_acme_directory"


def test_the_port_where_the_issuer_asks_decides_how() -> None:
    usual, closed = ordered("a.example.org", "b.example.org"), ordered("a.example.org", plain="off")
    assert usual is not None and closed is not None
    assert (usual.names, usual.ports, usual.plain) == (("a.example.org", "b.example.org"), (443,), 80)
    assert (usual.issuer.challenge, closed.issuer.challenge) == ("http-01", "tls-alpn-01")
    assert len(usual.fronts(())) == 2 and len(closed.fronts(())) == 1


def test_who_comes_by_http_is_sent_to_the_port_of_https() -> None:
    for text, moved in (("a.example.org", "https://$host$"), ("a.example.org:8443", "https://$host:8443$")):
        found = ordered(text)
        assert found is not None
        site = ProxiedSite((), found.fronts(()), issuer=found.issuer)
        assert f"return 301 {moved}request_uri;" in written(site, "penstock")


def test_two_issuers_have_a_folder_each(home: Path) -> None:
    one, other = ordered("a.example.org"), ordered("a.example.org", issuer="https://127.0.0.1:14000/dir")
    assert one is not None and other is not None and one.issuer.uri == LETSENCRYPT
    assert one.issuer.state == f"{home}/penstock/acme_letsencrypt"
    assert other.issuer.state == f"{home}/penstock/acme_127.0.0.1_14000_dir"
    assert prepare(one) == "" and (home / "penstock" / "acme_letsencrypt").stat().st_mode & 0o777 == 0o700


def test_a_user_has_the_state_in_his_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert state_folder() == "/home/somebody/.local/state/penstock"
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert state_folder() == "/var/lib/penstock"


def test_a_file_in_the_way_is_told(home: Path) -> None:
    (home / "penstock").write_text("")
    found = ordered("a.example.org")
    assert found is not None and "XDG_STATE_HOME" in prepare(found)
