"""Every `tests/corpus/configs/bad/NAME.conf` is reported as `NAME.expected` says, word for word.

To add a case, put both files there. An `.expected` is the reports in order, parted by empty lines.
"""

from pathlib import Path

import pytest

from penstock.config.errors import Problems, render
from penstock.config.parser import parse_text

BAD = Path(__file__).parents[2] / "corpus" / "configs" / "bad"

# The names of directives that the cases use; what is known decides where a forgotten ";" is noticed.
KNOWN = frozenset(
    {
        "default_type",
        "events",
        "gzip",
        "http",
        "listen",
        "location",
        "log_format",
        "map",
        "proxy_http_version",
        "proxy_pass",
        "proxy_set_header",
        "return",
        "root",
        "server",
        "server_name",
        "set",
        "upstream",
    }
)


@pytest.mark.parametrize("path", sorted(BAD.glob("*.conf")), ids=lambda path: path.stem)
def test_report(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    problems = Problems()
    text = path.read_bytes().decode("latin-1")
    parse_text(text, path.name, problems, known=KNOWN.__contains__)
    report = "\n\n".join(render(problem) for problem in problems) + "\n"
    assert report == path.with_suffix(".expected").read_text("utf-8")
