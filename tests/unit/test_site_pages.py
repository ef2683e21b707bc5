"""What the pages of the site tell people to write is taken by the configuration language."""

import re
from pathlib import Path

import pytest

from penstock.config.errors import ConfigFailed
from penstock.modules.load import load

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = ("certificates.md", "quick-starts.md", "recipes.md", "websocket.md", "upstreams.md")
FRAMES = (
    "{}",
    "events {{ }}\n{}",
    "events {{ }}\nhttp {{\n{}\n}}",
    "events {{ }}\nhttp {{ upstream app {{ server 127.0.0.1:8000; }}\nserver {{\n{}\n}} }}",
)
"""The levels at which a piece of a configuration may stand, from the outside in."""


def pieces() -> list[tuple[str, str]]:
    found = []
    for name in PAGES:
        for number, piece in enumerate(re.findall(r"(?s)```nginx\n(.*?)```", (DOCS / name).read_text("utf-8")), 1):
            found.append((f"{name}-{number}", piece))
    return found


@pytest.mark.parametrize(("name", "piece"), pieces(), ids=[name for name, _ in pieces()])
def test_a_piece_of_a_configuration_is_accepted(name: str, piece: str, tmp_path: Path) -> None:
    """Files and groups that a piece names, and does not bring, are not part of it."""
    piece = re.sub(r"(?m)^.*(ssl_certificate|ssl_certificate_key|proxy_ssl_\w+) (?!\$acme).*\n", "", piece)
    piece = piece.replace("listen 443 ssl", "listen 443").replace("include fastcgi.conf;", "")
    said = []
    for frame in FRAMES:
        (tmp_path / "nginx.conf").write_text(frame.format(piece))
        try:
            plan = load(str(tmp_path / "nginx.conf"), prefix=f"{tmp_path}/")
        except ConfigFailed as error:
            said.append(str(error))
        else:
            if not list(plan.problems):
                return
            said += [str(problem) for problem in plan.problems]
    pytest.fail("\n".join(said))
