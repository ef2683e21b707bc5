"""One running proxy for many transcripts: each has a server, an address and logs of its own in it."""

from __future__ import annotations

import re
import ssl
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.certs import Authority
from harness.ports import free_port
from harness.processes import children
from harness.proxy import Proxy
from harness.waiting import eventually
from transcripts.script import Transcript

_PORT = re.compile(r"\{port:([a-z0-9]+)\}")
_LISTEN = "0A"
"""That state in /proc/net/tcp."""
_FORMATS = """
    log_format access_of_transcripts "$request_method $request_uri $status $upstream_status";
    log_format ends_of_transcripts
        "$status $websocket_close_code $websocket_close_from $websocket_end_reason "
        "$websocket_frames_in/$websocket_frames_out";
    access_log off;
    server_tokens off;
    ssl_certificate {value:certificate};
    ssl_certificate_key {value:key};
"""
_SERVER = """
    server {{
        listen 127.0.0.1:{{port:front}};
        server_name {word};
        error_log logs/{word}.error info;
        access_log logs/{word}.access access_of_transcripts;
        {ends}
{text}
    }}
"""


class Site:
    """Starts when entered; when left, looks for what was not to be."""

    def __init__(self, transcripts: Sequence[Transcript]) -> None:
        self.transcripts = list(transcripts)
        self.addresses = {each.name: f"127.77.{n // 250}.{n % 250 + 1}" for n, each in enumerate(transcripts)}
        self.ports: dict[str, int] = {}
        """By their names. All transcripts have the same: their addresses differ."""
        self._folder = tempfile.TemporaryDirectory(prefix="penstock-test-")
        authority = Authority(Path(self._folder.name))
        pair = authority.issue("localhost")
        self.trust: ssl.SSLContext = authority.client_context()
        self.identity: ssl.SSLContext = authority.server_context(pair)
        values = {"certificate": pair.certificate, "key": pair.key, "authority": authority.certificate}
        self.proxy = Proxy(self.configuration(), values=values)

    def configuration(self, changed: Transcript | None = None, changes: Sequence[tuple[str, str]] = ()) -> str:
        """Put the file together; `changes` are pairs of text, for the pieces of one transcript."""
        main, http, servers = "", "", ""
        for each in self.transcripts:
            sections = dict(each.sections)
            for old, new in changes if each is changed else ():
                found = [name for name, text in sections.items() if old in text]
                if len(found) != 1:
                    raise ValueError(f"{each.path}: {old!r} does not stand in one of its sections")
                sections[found[0]] = sections[found[0]].replace(old, new)
            ends = f"access_log logs/{each.word}.ends ends_of_transcripts;" if each.watched else ""
            server = _SERVER.format(word=each.word, ends=ends, text=sections["server"])
            main += self.fill(each, sections.get("main", ""))
            http += self.fill(each, sections.get("http", ""))
            servers += self.fill(each, server)
        main = f"pid nginx.pid;\nerror_log error.log notice;\n{main}"
        return f"{main}\nevents {{ }}\nhttp {{\n{_FORMATS}{http}{servers}\n}}\n"

    def fill(self, transcript: Transcript, text: str) -> str:
        """Put ports, the address and the name into a text."""
        text = text.replace("127.0.0.1", self.addresses[transcript.name]).replace("{name}", transcript.word)
        return _PORT.sub(lambda found: str(self.port(found[1])), text)

    def port(self, name: str) -> int:
        """The port of that name."""
        if name not in self.ports:
            self.ports[name] = free_port()
        return self.ports[name]

    def log(self, transcript: Transcript, kind: str) -> str:
        """What a log of its own holds."""
        path = self.proxy.directory / "logs" / f"{transcript.word}.{kind}"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def connections(self) -> int:
        """How many connections of TCP the workers have open, in either direction."""
        open_now = set()
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] != _LISTEN:
                open_now.add(f"socket:[{words[9]}]")
        count = 0
        for pid in children(self.proxy.pid):
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(FileNotFoundError):
                    count += entry.readlink().name in open_now
        return count

    def descriptors(self) -> int:
        """How many descriptors the workers have open."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in children(self.proxy.pid))

    def troubles(self) -> list[str]:
        """Lines of any log that no peer may bring about."""
        found = []
        for path in [self.proxy.directory / "error.log", *sorted((self.proxy.directory / "logs").glob("*.error"))]:
            for line in path.read_text("utf-8", "replace").splitlines() if path.exists() else ():
                if re.search(r"internal error|Traceback|\[(?:alert|emerg|crit)\]", line):
                    found.append(f"{path.name}: {line}")
        return found

    def __enter__(self) -> Self:
        try:
            self.proxy.__enter__()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            troubles = self.troubles()
            self.proxy.__exit__(kind, error, trace)
        finally:
            self._folder.cleanup()
        assert not troubles, "\n".join(troubles)

    def settled(self) -> None:
        """Wait until the workers have no connection any more."""
        eventually(lambda: not self.connections(), 15, why=f"{self.connections()} connections are left")
