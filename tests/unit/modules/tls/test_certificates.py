"""Contexts whose certificates are named at the handshake: which are kept, and for how long."""

import os
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.certs import Authority
from penstock.modules.tls.certificates import NO_PASSWORD, NamedAtHandshake
from penstock.net.tls.files import CannotLoad, load_pair


class Builder:
    """Counts what is built."""

    def __init__(self) -> None:
        self.built: list[tuple[str, ...]] = []

    def __call__(self, names: Sequence[str]) -> ssl.SSLContext:
        self.built.append(tuple(names))
        return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


@pytest.fixture
def files(tmp_path: Path) -> list[tuple[str, str]]:
    pairs = []
    for name in "abc":
        for kind in ("crt", "key"):
            (tmp_path / f"{name}.{kind}").write_text(name)
        pairs.append((f"{tmp_path}/{name}.crt", f"{tmp_path}/{name}.key"))
    return pairs


def test_files_are_looked_at_each_time(files: list[tuple[str, str]]) -> None:
    builder = Builder()
    contexts = NamedAtHandshake(builder, 64, 60.0, -1.0)
    first = contexts.find(files[0], 0.0)
    assert contexts.find(files[0], 0.0) is first
    Path(files[0][0]).write_text("longer")
    assert contexts.find(files[0], 0.0) is not first
    assert len(builder.built) == 2


def test_files_are_believed_for_a_while(files: list[tuple[str, str]]) -> None:
    builder = Builder()
    contexts = NamedAtHandshake(builder, 64, 60.0, 10.0)
    first = contexts.find(files[0], 0.0)
    Path(files[0][0]).unlink()
    assert contexts.find(files[0], 10.0) is first
    assert contexts.find(files[0], 10.5) is not first


def test_as_many_files_are_kept_as_were_asked_for(files: list[tuple[str, str]]) -> None:
    builder = Builder()
    contexts = NamedAtHandshake(builder, 4, 60.0, 60.0)
    for pair in (0, 1, 0, 2, 0, 1):
        contexts.find(files[pair], 0.0)
    assert [Path(names[0]).stem for names in builder.built] == ["a", "b", "c", "b"]


def test_what_is_not_used_is_not_kept(files: list[tuple[str, str]]) -> None:
    builder = Builder()
    contexts = NamedAtHandshake(builder, 64, 10.0, 60.0)
    contexts.find(files[0], 0.0)
    contexts.find(files[1], 5.0)
    contexts.find(files[2], 11.0)
    contexts.find(files[1], 11.0)
    contexts.find(files[0], 11.0)
    assert [Path(names[0]).stem for names in builder.built] == ["a", "b", "c", "a"]


def test_what_can_not_be_loaded_is_tried_again() -> None:
    def fail(names: Sequence[str]) -> ssl.SSLContext:
        raise CannotLoad("no")

    contexts = NamedAtHandshake(fail, 4, 10.0, 10.0)
    for _ in range(2):
        with pytest.raises(CannotLoad):
            contexts.find(("/none", "/none"), 0.0)


def test_data_leaves_no_descriptor_and_no_trace(authority: Authority) -> None:
    pair = authority.issue("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    load_pair(context, "data:" + pair.certificate.read_text(), "data:" + pair.key.read_text(), NO_PASSWORD)
    with pytest.raises(CannotLoad) as refused:
        load_pair(context, "data:" + pair.certificate.read_text(), "data:secret words", NO_PASSWORD)
    assert "secret" not in str(refused.value)
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208
