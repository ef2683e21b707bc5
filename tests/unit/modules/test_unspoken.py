"""A location for FastCGI or gRPC: the configuration runs, its requests get 502 and never the program's source."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.site import Site


@pytest.mark.parametrize("directive", ["fastcgi_pass 127.0.0.1:9000;", "grpc_pass grpc://127.0.0.1:9000;"])
def test_it_is_accepted_and_answered_with_502(tmp_path: Path, directive: str) -> None:
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "secret.php").write_text("<?php password ?>")
    site = Site(f"server {{ listen 80; location ~ \\.php$ {{ {directive} }} }}", tmp_path)
    reply = site.ask("/secret.php")
    assert reply.status == 502
    assert "password" not in str(reply.answer.body)
