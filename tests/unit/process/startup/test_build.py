"""What this program stands on is named."""

import platform

from penstock.process.startup.build import interpreter


def test_names_the_interpreter_as_its_makers_do() -> None:
    assert interpreter() == f"{platform.python_implementation()} {platform.python_version()}"
