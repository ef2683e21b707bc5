"""geoip2 in workers: a database that they may not read, over a reload that brings another one."""

from typing import Any

import pytest

from harness.mmdb import database

pytest.importorskip("maxminddb")

CONF = """
    worker_processes 2;
    http {
        geoip2 {dir}/a.mmdb { $country default=none country iso_code; }
        server { listen 127.0.0.1:{port:front}; location / { return 200 $country; } }
    }
    """


def test_a_reload_reads_the_database_again(proxy: Any) -> None:
    front = proxy("http { server { listen 127.0.0.1:{port:front}; location / { return 200 before; } } }")
    assert front.get("/").text == "before"
    for country in ("XA", "XB"):
        place = front.write("a.mmdb", database({"127.0.0.0/8": {"country": {"iso_code": country}}}))
        place.chmod(0o600)
        front.reload(CONF)
        assert {front.get("/").text for _ in range(8)} == {country}
        place.unlink()
