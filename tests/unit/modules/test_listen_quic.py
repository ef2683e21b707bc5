"""`listen ... quic`: configurations written for HTTP/3 run over TCP."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.config.errors import ConfigFailed
from penstock.modules.load import load


def loaded(tmp_path: Path, listens: str) -> object:
    path = tmp_path / "nginx.conf"
    path.write_text(f"events {{ }}\nhttp {{ server {{\n{listens}\n}} }}\n")
    return load(str(path), prefix=f"{tmp_path}/")


def test_the_address_is_left_out_with_a_warning(tmp_path: Path) -> None:
    plan = loaded(tmp_path, "listen 127.0.0.1:8443;\nlisten 127.0.0.1:8443 quic reuseport;")
    assert [listen.address for listen in plan.listens] == [("127.0.0.1", 8443)]  # type: ignore[attr-defined]
    assert [str(problem) for problem in plan.problems] == [  # type: ignore[attr-defined]
        f"HTTP/3 is not spoken, this address is left out in {tmp_path}/nginx.conf:4"
    ]


def test_a_server_without_another_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigFailed, match="a server that listens for HTTP/3 only"):
        loaded(tmp_path, "listen 127.0.0.1:8443 quic;")
