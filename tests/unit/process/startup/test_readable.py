"""Whether another user could read this program."""

import os
import tempfile
from pathlib import Path

import pytest

import penstock
from penstock.process.startup import readable
from penstock.process.startup.privileges import User

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
NOBODY = User("nobody", 65534, 65534)


def test_what_is_hidden_from_a_user_is_named(monkeypatch, tmp_path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        hidden = Path(folder) / "__init__.py"
        hidden.touch()
        monkeypatch.setattr(penstock, "__file__", str(hidden))
        assert readable.unreadable(NOBODY) == str(hidden)
        assert readable.unreadable(User("root", 0, 0)) is None
        os.chmod(folder, 0o755)  # noqa: PTH101
        monkeypatch.setattr(os, "__file__", str(hidden))
        assert readable.unreadable(NOBODY) is None
