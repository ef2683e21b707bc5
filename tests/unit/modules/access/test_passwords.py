"""Stored passwords of every kind; made with openssl passwd, htpasswd and crypt(3)."""

import pytest

from penstock.modules.access import passwords
from penstock.modules.access.passwords import CannotCheck, apr1, verify

STORED = {
    "plain": "{PLAIN}password",
    "sha": "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
    "ssha": "{SSHA}yI6cZwQadOA1e+/f+T+H3eCQQhRzYWx0",
    "apr1": "$apr1$salt$Xxd1irWT9ycqoYxGFn4cb.",
    "des": "sa3tHJ3/KuYvI",
    "md5": "$1$salt$qJH7.N4xYta3aEG/dfqo/0",
    "sha256": "$5$salt$Gcm6FsVtF/Qa77ZKD.iwsJlCVPY0XSMgLJL0Hnww/c1",
    "sha512": "$6$salt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6WouIL9AjRbLCelDCy.g.",
}


@pytest.mark.parametrize("kind", STORED)
def test_the_right_one_and_a_wrong_one(kind: str) -> None:
    assert verify("password", STORED[kind])
    assert not verify("Password", STORED[kind])
    assert not verify("", STORED[kind])
    assert not verify("password\0", STORED[kind])


@pytest.mark.parametrize(
    "stored",
    ["$apr1$", "$1$", "{SSHA}_____wQadOA1e+/f+T", "{SSHA}Zm9vCg==", "{SHA}_____", "{SHA}Zm9vCg==", "{PLAIN}"],
)
def test_broken_ones_let_nobody_in(stored: str) -> None:
    assert not verify("1", stored)


@pytest.mark.parametrize("password", ["", "\0", "a", "a\0", "\0a", "*", "*0", "\xff", "!"])
@pytest.mark.parametrize(
    "stored", ["", "*", "!", "!!", "*0", "*1", "x", "$1$", "$apr1$\xe9$", "$2b$", "$6$", "{SHA}", "{SSHA}"]
)
def test_what_is_no_hash_lets_nobody_in(stored: str, password: str) -> None:
    assert not verify(password, stored)


@pytest.mark.parametrize("kind", STORED)
@pytest.mark.parametrize("password", ["password\0", "password\0x", "\0password", "pass\0word", "\0"])
def test_a_nul_is_part_of_a_password(kind: str, password: str) -> None:
    assert not verify(password, STORED[kind])


def test_apr1_of_any_length() -> None:
    assert apr1(b"", "abcdefgh") == "$apr1$abcdefgh$L.PT565ESX4Tp2bqNs7Ie."
    assert apr1(b"0123456789abcdef0123", "x") == "$apr1$x$0Nl/x.DrOldRbWQu7LWyT."


def test_where_there_is_no_libcrypt(monkeypatch) -> None:
    monkeypatch.setattr(passwords, "_crypt_r", lambda: None)
    with pytest.raises(CannotCheck, match="not there"):
        verify("password", STORED["sha512"])
    assert verify("password", STORED["apr1"])
