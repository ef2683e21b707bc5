"""A line for every directive that is not refused, and configurations around it: `tests/corpus/repeated.txt`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from harness.binary import load_stream
from harness.certs import Authority
from harness.mmdb import database

CORPUS = Path(__file__).parents[1] / "corpus" / "repeated.txt"
ZONES = "limit_conn_zone $uri zone=zone:1m; limit_req_zone $uri zone=rate:1m rate=1r/s;"
LEVELS = {
    "main": "LOGS %s events { } http { server { listen 127.0.0.1:18999; } }",
    "events": "LOGS events { %s } http { server { listen 127.0.0.1:18999; } }",
    "http": "LOGS events { } http { TEMP %s server { listen 127.0.0.1:18999; } }",
    "upstream": "LOGS events { } http { TEMP upstream u { server 127.0.0.1:18998; %s } "
    "server { listen 127.0.0.1:18999; } }",
    "server": "LOGS events { } http { TEMP server { listen 127.0.0.1:18999; %s } }",
    "stream": "LOGS LOAD events { } stream { %s server { listen 127.0.0.1:18999; proxy_pass 127.0.0.1:18998; } }",
    "stream_server": "LOGS LOAD events { } stream { server { listen 127.0.0.1:18999; %s } }",
    "stream_upstream": "LOGS LOAD events { } stream { upstream u { server 127.0.0.1:18998; %s } "
    "server { listen 127.0.0.1:18999; proxy_pass u; } }",
    "location": "LOGS events { } http { TEMP ZONES upstream u { server 127.0.0.1:18998; } "
    "server { listen 127.0.0.1:18999; location / { %s } } }",
}


class Line(NamedTuple):
    """A directive at its level; `again` whether nginx takes it twice."""

    level: str
    again: bool
    text: str

    @property
    def name(self) -> str:
        return re.split(r"[ ;]", self.text, maxsplit=1)[0]


def lines() -> list[Line]:
    """All of them."""
    found = []
    for row in CORPUS.read_text("ascii").splitlines():
        if row and not row.startswith("#"):
            level, kind, text = row.split(None, 2)
            assert kind in ("again", "once"), row
            found.append(Line(level, kind == "again", text))
    return found


class Bench:
    """Configurations with a line, once or twice, and the files that lines speak of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        pair = Authority(folder).issue("localhost")
        (folder / "file").write_text("secret\n")
        (folder / "ticket.key").write_bytes(bytes(80))
        (folder / "countries.mmdb").write_bytes(database({"127.0.0.0/8": {}}))
        self.words = {
            "CERT": str(pair.certificate),
            "KEY": str(pair.key),
            "FILE": str(folder / "file"),
            "SECRET": str(folder / "ticket.key"),
            "COUNTRIES": str(folder / "countries.mmdb"),
            "FOLDER": str(folder / "cache"),
            "LOG": str(folder / "a.log"),
        }
        self.temp = " ".join(
            f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )

    def text(self, line: Line, times: int) -> str:
        """The whole configuration."""
        made = re.sub(r"\b(CERT|KEY|FILE|SECRET|FOLDER|LOG|COUNTRIES)", lambda match: self.words[match[0]], line.text)
        first, _, second = made.partition(" | ")
        text = LEVELS[line.level] % " ".join([first, second or first][:times])
        logs = f"error_log {self.folder}/error.log; pid {self.folder}/nginx.pid;"
        if line.name == "pid":
            logs = f"error_log {self.folder}/error.log;"
        temp = "" if line.level == "http" and line.name.endswith("_temp_path") else self.temp
        text = text.replace("LOAD", load_stream())
        return text.replace("LOGS", logs).replace("TEMP", temp).replace("ZONES", ZONES)
