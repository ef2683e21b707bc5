"""What an `acme_issuer` may hold, and what is said about the rest."""

from pathlib import Path

import pytest

from penstock.config.errors import ConfigFailed
from penstock.modules.acme.issuer import HTTP_01, ISSUERS, TLS_ALPN_01, Issuer, key_kind
from penstock.modules.load import load
from penstock.plan.plan import Plan


def plan(tmp_path: Path, lines: str) -> Plan:
    (tmp_path / "nginx.conf").write_text(f"events {{ }} http {{ acme_issuer a {{ {lines} }} }}")
    return load(str(tmp_path / "nginx.conf"), prefix=f"{tmp_path}/")


def issuer(tmp_path: Path, lines: str) -> Issuer:
    known = plan(tmp_path, lines).shared.get(ISSUERS)
    assert known is not None
    return known["a"][0]


def test_all_lines_are_read(tmp_path: Path) -> None:
    found = issuer(
        tmp_path,
        "uri https://ca.test/dir; account_key rsa:4096; challenge tls-alpn-01; contact a@b.test; contact tel:+1;"
        " external_account_key kid secret.txt; ssl_trusted_certificate ca.pem; state_path st; accept_terms_of_service;"
        " profile shortlived;",
    )
    base = str(tmp_path)
    assert found == Issuer(
        "a",
        "https://ca.test/dir",
        "rsa:4096",
        TLS_ALPN_01,
        ("mailto:a@b.test", "tel:+1"),
        ("kid", f"{base}/secret.txt"),
        f"{base}/ca.pem",
        True,
        f"{base}/st",
        True,
        "shortlived",
    )
    assert issuer(tmp_path, "uri https://ca.test/dir;").challenge == HTTP_01


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("", "has no uri"),
        ("uri http://ca.test/;", "invalid uri"),
        ("uri https://ca.test/; uri https://ca.test/;", "duplicate"),
        ("uri https://ca.test/; challenge dns-01;", "unsupported challenge"),
        ("uri https://ca.test/; state_path off;", "would be ordered anew"),
        ("uri https://ca.test/; ssl_verify maybe;", '"on" or "off"'),
        ("uri https://ca.test/; nonsense 1;", 'unknown directive "nonsense"'),
        ("uri;", "invalid number of arguments"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, lines: str, words: str) -> None:
    with pytest.raises(ConfigFailed) as failure:
        plan(tmp_path, lines)
    assert words in str(failure.value)


def test_kinds_of_keys() -> None:
    assert [key_kind(text) for text in ("ecdsa", "ecdsa:384", "rsa", "rsa:1024", "dsa")] == [
        "ecdsa:256",
        "ecdsa:384",
        "rsa:2048",
        None,
        None,
    ]
