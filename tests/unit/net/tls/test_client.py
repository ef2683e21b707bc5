"""Names of certificates."""

import pytest

from penstock.net.tls.client import is_for


@pytest.mark.parametrize(
    ("names", "name", "expected"),
    [
        ([("DNS", "a.test")], "a.test", True),
        ([("DNS", "a.test")], "A.Test.", True),
        ([("DNS", "*.test")], "a.test", True),
        ([("DNS", "*.test")], "b.a.test", False),
        ([("DNS", "*.test")], "test", False),
        ([("DNS", "a.test")], "b.test", False),
        ([("IP Address", "10.0.0.1")], "10.0.0.1", True),
        ([("DNS", "10.0.0.1")], "10.0.0.1", False),
        ([("IP Address", "0:0:0:0:0:0:0:1")], "::1", True),
    ],
)
def test_alternative_names(names, name: str, expected: bool) -> None:
    certificate = {"subject": ((("commonName", "cn.test"),),), "subjectAltName": tuple(names)}
    assert is_for(certificate, name) is expected


def test_common_name_counts_where_there_is_nothing_else() -> None:
    subject = ((("countryName", "XX"),), (("commonName", "cn.test"),))
    assert is_for({"subject": subject}, "cn.test")
    assert not is_for({"subject": subject, "subjectAltName": (("DNS", "a.test"),)}, "cn.test")
    assert not is_for({}, "cn.test")
    assert not is_for(None, "cn.test")
