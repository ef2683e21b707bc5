"""Variables out of databases of MaxMind's format."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.mmdb import database
from harness.site import Site, mistakes

pytest.importorskip("maxminddb")

RECORDS = {
    "127.0.0.0/8": {
        "country": {"iso_code": "XA", "names": {"en": "Home", "de": "Zuhause ü"}},
        "location": {"latitude": 1.5, "accuracy_radius": 20},
        "traits": {"is_local": True},
        "subdivisions": [{"iso_code": "S0"}, {"iso_code": "S1"}],
    },
    "192.0.2.0/24": {"country": {"iso_code": "XB"}},
}
BLOCK = """
    geoip2 {file} {{
        $made metadata build_epoch;
        $country default=ZZ country iso_code;
        $name country names de;
        $latitude location latitude;
        $radius location accuracy_radius;
        $local traits is_local;
        $second subdivisions 1 iso_code;
        $third subdivisions 2 iso_code;
        $deep country iso_code more;
        $asked default=ZZ source=$arg_ip country iso_code;
    }}
    """


@pytest.fixture
def block(tmp_path: Path) -> str:
    """A `geoip2` block with its database."""
    (tmp_path / "a.mmdb").write_bytes(database(RECORDS))
    return BLOCK.format(file=tmp_path / "a.mmdb")


def test_what_stands_in_the_record_of_the_client(block: str, tmp_path: Path) -> None:
    made = Site(
        f"{block} server {{ listen 80; location / {{ return 200 "
        '"$country,$name,$latitude,$radius,$local,$second,$third,$deep,$made,$asked"; } }',
        tmp_path,
    )
    name = "Zuhause ü".encode().decode("latin-1")
    assert made.ask("/?ip=192.0.2.9").text == f"XA,{name},1.50000,20,1,S1,,,1700000000,XB"
    assert made.ask("/?ip=nonsense", address="10.0.0.1").text == "ZZ,,,,,,,,1700000000,ZZ"
    assert made.ask("/?ip=2001:db8::1", address="::1").text == "ZZ,,,,,,,,1700000000,ZZ"


def test_proxies_say_whose_address_it_is(block: str, tmp_path: Path) -> None:
    made = Site(
        f"{block} geoip2_proxy 127.0.0.1; server {{ listen 80; location / {{ return 200 $country; }} }}", tmp_path
    )
    assert made.ask("/", headers=["X-Forwarded-For: 192.0.2.7"]).text == "XB"
    assert made.ask("/", headers=["X-Forwarded-For: 192.0.2.7"], address="10.0.0.1").text == "ZZ"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("geoip2 none.mmdb { }", "No such file"),
        ("geoip2 bad.mmdb { }", "no database of MaxMind's format"),
        ("geoip2 a.mmdb { country country; }", 'invalid variable name "country"'),
        ("geoip2 a.mmdb { $a; }", "no path into the database"),
        ("geoip2 a.mmdb { $a metadata size; }", "invalid metadata field"),
        ("geoip2_proxy everywhere;", 'invalid network "everywhere"'),
    ],
)
def test_mistakes(block: str, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "bad.mmdb").write_bytes(b"x" * 1000)
    for name in ("a.mmdb", "bad.mmdb"):
        text = text.replace(f" {name}", f" {tmp_path / name}")
    found = mistakes(text, tmp_path)
    assert len(found) == 1 and said in found[0]
