"""How long it takes to start: generous bounds, for the machines that run this are shared (figures: README)."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LOCATION = """
        location /l{number}/ {{
            proxy_pass http://127.0.0.1:3000;
            proxy_set_header Host $host;
            add_header X-Number {number};
            root /srv/{number};
        }}
"""


def test_ten_thousand_lines_are_checked_in_a_moment(tmp_path: Path) -> None:
    servers = []
    for number in range(400):
        inside = "".join(LOCATION.format(number=each) for each in range(3))
        servers.append(
            f"    server {{\n        listen 127.0.0.1:{20000 + number % 50};\n"
            f"        server_name s{number}.example.com;\n{inside}    }}\n"
        )
    text = "pid nginx.pid;\nevents { }\nhttp {\n    access_log off;\n" + "".join(servers) + "}\n"
    assert text.count("\n") > 10_000
    (tmp_path / "nginx.conf").write_text(text)
    started = time.monotonic()
    command = [sys.executable, "-m", "penstock", "-t", "-p", f"{tmp_path}/", "-c", "nginx.conf", "-e", "error.log"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 40


def test_the_first_answer_comes_soon(proxy: Any) -> None:
    started = time.monotonic()
    text = "http { server { listen 127.0.0.1:{port:front}; location / { return 200 here; } } }"
    front = proxy(text, fresh=True)  # imports are most of it
    assert front.get("/").body == b"here"
    assert time.monotonic() - started < 20
