"""Who a worker is, and what it knows of its surroundings."""

import os

import pytest

from penstock.config.errors import ConfigError
from penstock.modules.core.main import Main
from penstock.modules.load import known
from penstock.process.startup.privileges import keep_environment, worker_user

known()


def settings(user=None) -> Main:
    made = Main()
    made.user = user
    made.origins = {}
    return made


def test_environment_is_emptied_but_for_what_is_named(monkeypatch) -> None:
    before = dict(os.environ)
    try:
        os.environ.update({"A": "1", "B": "2", "TZ": "UTC"})
        keep_environment((("A", None), ("C", "3"), ("D", None)))
        assert dict(os.environ) == {"TZ": "UTC", "A": "1", "C": "3"}
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")
def test_users() -> None:
    nobody = worker_user(settings())
    assert nobody is not None
    assert nobody.name == "nobody"
    root = worker_user(settings(("root", "root")))
    assert root is not None
    assert (root.uid, root.gid) == (0, 0)
    for names in (("no-such-user", "root"), ("root", "no-such-group")):
        with pytest.raises(ConfigError, match="failed"):
            worker_user(settings(names))


def test_user_means_nothing_to_others_than_root(monkeypatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert worker_user(settings()) is None
    with pytest.raises(ConfigError) as caught:
        worker_user(settings(("root", "root")))
    assert caught.value.level == "warn"
    assert caught.value.message == (
        'the "user" directive makes sense only if the master process runs with super-user privileges, ignored'
    )
