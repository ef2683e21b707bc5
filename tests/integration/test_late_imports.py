"""Nothing is imported while the proxy serves: workers may be a user who can not read the installation, and a package
manager may have put another version into its place."""

import base64
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rrset
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

import penstock
from harness.backends import read_head
from harness.binary import Binary, installed
from harness.http2 import Http2Client
from harness.late import LateImports
from harness.processes import gone
from harness.programs import run
from harness.proxy import Proxy
from harness.waiting import eventually

PLAIN = """
    worker_processes {value:workers};
    http {
        server {
            listen 127.0.0.1:{port:front};
            location / { return 200 plain; }
            location /ws { proxy_pass http://127.0.0.1:{port:ws}; websocket auto; }
        }
    }
    """

EVERYTHING = """
    worker_processes {value:workers};
    http {
        resolver 127.0.0.1:{port:dns} valid=1s ipv6=off;
        access_log zipped.log combined gzip=1 flush=1s;
        access_log access.log;
        websocket_drain 1s;
        log_format odd escape=json '$uri $tcpinfo_rtt $ssl_client_s_dn $time_iso8601';
        map $uri $mapped { default d; ~^/m(?<rest>.*)$ $rest; }
        geo $near { default 0; 127.0.0.0/8 1; }
        split_clients $remote_addr $half { 50% a; * b; }
        limit_req_zone $remote_addr zone=req:1m rate=1000r/s;
        limit_conn_zone $remote_addr zone=conn:1m;
        upstream back { zone back 128k; server one.test:{port:ws} resolve; }
        server {
            listen 127.0.0.1:{port:front};
            listen 127.0.0.1:{port:tls} ssl;
            listen 127.0.0.1:{port:proxied} proxy_protocol;
            http2 on;
            server_name localhost;
            ssl_certificate {value:certificate};
            ssl_certificate_key {value:key};
            ssl_session_cache shared:tls:1m;
            error_page 404 /missing.html;
            error_page 502 = @down;
            gzip on;
            gzip_min_length 1;
            gunzip on;
            charset_types text/plain;
            location / { root www; index index.html; ssi on; access_log odd.log odd; }
            location /list/ { root www; autoindex on; autoindex_format json; }
            location /koi { root www; charset utf-8; source_charset koi8-r; override_charset on; }
            location /ws { proxy_pass http://back; websocket auto; websocket_ping 1s; }
            location /nows { proxy_pass http://127.0.0.1:{port:refuses}; websocket auto; }
            location /dead { proxy_pass http://127.0.0.1:1; }
            location @down { return 503 "$mapped $near $half"; }
            location /name { set $to one.test; proxy_pass http://$to:{port:ws}; websocket on; }
            location /u { include params; uwsgi_pass 127.0.0.1:{port:uwsgi}; }
            location /sub { sub_filter plain changed; sub_filter_types *; root www; mirror /mirrored; }
            location /mirrored { internal; proxy_pass http://127.0.0.1:1; }
            location /auth { auth_basic x; auth_basic_user_file users; root www; try_files /sub =404; }
            location /asked { auth_request /yes; root www; try_files /index.html =404; }
            location /yes { return 204; }
            location /limited { limit_req zone=req burst=5; limit_conn conn 5; return 200 $limit_rate; }
            location /metrics { metrics; }
            location /status { status; }
            location /stub { stub_status; }
        }
    }
    """

FILES = {
    "www/index.html": '<!--#if expr="$near = 1" --><!--#include virtual="/yes" --><!--#echo var="DATE_LOCAL" -->'
    "<!--#endif -->plain",
    "www/koi": b"\xd0\xd2\xc9\xd7\xc5\xd4",
    "www/list/a": "a",
    "www/sub": "plain",
    "www/missing.html": "not there",
    "params": "uwsgi_param REQUEST_METHOD $request_method;",
    "users": "one:{SHA}" + base64.b64encode(hashlib.sha1(b"two").digest()).decode() + "\ntwo:$1$ab$x\n",
}


class NameServer:
    """Says that every name is 127.0.0.1, for a second; counts the questions."""

    def __init__(self) -> None:
        self.asked = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                data, client = self._socket.recvfrom(4096)
            except OSError:
                return
            question = dns.message.from_wire(data)
            answer = dns.message.make_response(question)
            answer.flags |= dns.flags.RA
            answer.answer.append(dns.rrset.from_text(question.question[0].name, 1, "IN", "A", "127.0.0.1"))
            self.asked += 1
            self._socket.sendto(answer.to_wire(), client)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def names() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.close()


class Site:
    """A proxy's options, and its neighbours."""

    def __init__(self, names: NameServer, ws_backend: Any, raw_backend: Any, authority: Any) -> None:
        pair = authority.issue("localhost")
        self.trust = authority.client_context
        self.names = names
        uwsgi = raw_backend([read_head_of_uwsgi, b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nby uwsgi"])
        refuses = raw_backend([read_head, b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"])
        self.ports = {"ws": ws_backend.port, "dns": names.port, "uwsgi": uwsgi.port, "refuses": refuses.port}
        self.values = {"certificate": pair.certificate, "key": pair.key, "workers": 1}

    def options(self, **more: Any) -> dict[str, Any]:
        return {"ports": self.ports, "values": self.values, "files": FILES, **more}


def read_head_of_uwsgi(talk: Any) -> None:
    while len(talk.received) < 4:
        if not talk.fill():
            return


@pytest.fixture
def site(names: NameServer, ws_backend: Any, raw_backend: Any, authority: Any) -> Site:
    return Site(names, ws_backend, raw_backend, authority)


def echoes(url: str, **options: Any) -> None:
    with connect(url, **options) as client:
        client.send("hello")
        assert client.recv(10) == "hello"


def use_everything(front: Proxy, site: Site) -> None:
    """Each feature once; what it answers shows that it worked."""
    assert b"plain" in front.get("/").body
    assert front.get("/", {"Accept-Encoding": "gzip"}).header("Content-Encoding") == "gzip"
    assert front.get("/koi").body.decode() == "привет"
    assert json.loads(front.get("/list/").body)[0]["name"] == "a"
    assert front.get("/nothing").body == b"not there"
    assert front.get("/dead").status == 503
    assert front.get("/u").body == b"by uwsgi"
    assert front.get("/sub").body == b"changed"
    good = base64.b64encode(b"one:two").decode()
    assert front.get("/auth", {"Authorization": f"Basic {good}"}).body == b"plain"
    crypted = base64.b64encode(b"two:three").decode()
    assert front.get("/auth", {"Authorization": f"Basic {crypted}"}).status == 401
    assert b"plain" in front.get("/asked").body
    assert front.get("/limited").status == 200
    since = "Sat, 29 Oct 1994 19:43:31 GMT"
    assert front.get("/list/a", {"Range": "bytes=0-0", "If-Modified-Since": since}).status == 206
    assert b"penstock_tunnels" in front.get("/metrics").body
    assert front.get("/stub").status == 200
    assert "tunnels" in json.loads(front.get("/status", {"Accept": "application/json"}).body)
    assert b"<table" in front.get("/status", {"Accept": "text/html"}).body.lower()
    with front.client("proxied") as client:
        answer = client.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /limited HTTP/1.0\r\n\r\n").response()
        assert answer.status == 200
    with front.client() as client:
        assert client.send(b"nonsense\r\n\r\n").response().status == 400
    for path in ("/ws", "/name"):
        echoes(front.url(path, "ws"))
        echoes(front.url(path, "wss", "tls").replace("127.0.0.1", "localhost"), ssl=site.trust())
    with Http2Client(front.port("tls"), tls=site.trust()) as client:
        assert b"plain" in client.get("/").body
        stream = client.websocket("/ws")
        assert client.head(stream).status == 200
        client.say(stream, b"hello")
        assert client.hear(stream)[1] == b"hello"
    with pytest.raises(InvalidStatus):
        echoes(front.url("/nows", "ws"))
    eventually(lambda: site.names.asked > 1, why="names are looked up again")
    with connect(front.url("/ws", "ws"), ping_interval=None) as client:
        eventually(lambda: tunnels(front, "--json").stdout.count('"id"'))
        assert tunnels(front, "close", "--all", "--code", "1012").returncode == 0
        with pytest.raises(ConnectionClosed):
            client.recv(10)
    front.send_signal(signal.SIGUSR1)
    front.logged("reopening logs", name="error.log")
    assert front.get("/limited").status == 200


def tunnels(front: Proxy, *more: str) -> subprocess.CompletedProcess[str]:
    command = [*installed().command, "tunnels", "--socket", f"{front.directory}/nginx.control", *more]
    return run(command)


def drain_and_end(front: Proxy) -> None:
    """QUIT with a WebSocket that is open: it is told."""
    with connect(front.url("/ws", "ws"), ping_interval=None) as client:
        client.send("x")
        assert client.recv(10) == "x"
        front.send_signal(signal.SIGQUIT)
        with pytest.raises(ConnectionClosed) as ended:
            client.recv(10)
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1012
    front.stop(signal.SIGQUIT)


def test_workers_import_nothing(proxy, site, tmp_path) -> None:
    late = LateImports(tmp_path)
    front = proxy(EVERYTHING, env=late.env, **site.options())
    use_everything(front, site)
    front.reload()
    use_everything(front, site)
    drain_and_end(front)
    assert late.names == set()


def test_what_a_reload_adds_comes_with_it(proxy, site, tmp_path) -> None:
    late = LateImports(tmp_path)
    front = proxy(PLAIN, env=late.env, **site.options())
    workers = eventually(front.children)
    with connect(front.url("/ws", "ws"), ping_interval=None) as client:
        front.reload(EVERYTHING)
        use_everything(front, site)
        with pytest.raises(ConnectionClosed):  # it was closed with all others
            client.recv(20)
    assert front.children() == workers
    site.values["workers"] = 3
    front.reload(EVERYTHING)
    use_everything(front, site)
    drain_and_end(front)
    # What is written in C can not be sent; Python's library does without these.
    assert {name for name in late.names if not name.startswith("_")} <= {"winreg", "snappy"}
    assert "is replaced" not in front.error_log()


@pytest.fixture
def private() -> Iterator[Path]:
    """A copy of this installation that only root can read; nobody may enter the folder."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    folder = Path(tempfile.mkdtemp(prefix="penstock-test-"))
    shutil.copytree(Path(penstock.__file__).parent, folder / "penstock", ignore=shutil.ignore_patterns("__pycache__"))
    program = folder / "program"
    lines = [f"#!{sys.executable}", "import sys", f"sys.path.insert(0, {str(folder)!r})"]
    program.write_text("\n".join([*lines, "from penstock.cli.main import main", "sys.exit(main())", ""]))
    program.chmod(0o700)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def for_nobody(site: Site) -> Iterator[dict[str, Any]]:
    """Options for a proxy whose workers are nobody, in a folder that they can reach."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-test-"))
    folder.chmod(0o755)
    yield site.options(directory=folder)
    shutil.rmtree(folder)


UNPRIVILEGED = "user nobody nogroup;" + EVERYTHING


def test_workers_that_can_not_read_the_program_do_everything(private, site, for_nobody) -> None:
    binary = Binary((str(private / "program"),))
    with Proxy(UNPRIVILEGED, binary, **for_nobody) as front:
        said = front.error_log()
        assert f'user "nobody" can not read "{private}/penstock/__init__.py"' in said, said
        use_everything(front, site)
        front.reload()
        use_everything(front, site)
        drain_and_end(front)


def test_a_reload_adds_everything_where_workers_can_not_read_the_program(private, site, for_nobody) -> None:
    binary = Binary((str(private / "program"),))
    with Proxy("user nobody nogroup;" + PLAIN, binary, **for_nobody) as front:
        workers = eventually(front.children)
        front.reload(UNPRIVILEGED)
        use_everything(front, site)
        assert front.children() == workers
        drain_and_end(front)


def test_the_old_processes_are_the_old_version_when_another_one_is_installed(private, site, for_nobody) -> None:
    binary = Binary((str(private / "program"),))
    expect = ["Traceback"]  # of the program that can not start
    with Proxy("user nobody nogroup;" + PLAIN, binary, expect=expect, **for_nobody) as front:
        shutil.move(private / "penstock", private / "before")
        shutil.copytree(private / "before", private / "penstock")
        for file in (private / "penstock").rglob("*.py"):
            file.write_text("raise RuntimeError('this is of another version')\n")
        front.reload(UNPRIVILEGED)
        use_everything(front, site)
        site.values["workers"] = 2
        front.configure(UNPRIVILEGED)
        front.reload()
        use_everything(front, site)
        # A program that can not start takes nobody's place, ...
        front.send_signal(signal.SIGUSR2)
        front.logged("the new program did not come up", name="error.log")
        use_everything(front, site)
        # ... and one that can takes its tunnels.
        shutil.rmtree(private / "penstock")
        shutil.move(private / "before", private / "penstock")
        with connect(front.url("/ws", "ws"), ping_interval=None) as client:
            client.send("one")
            assert client.recv(10) == "one"
            old = front.pid
            front.send_signal(signal.SIGUSR2)
            front.successor(old)
            os.kill(old, signal.SIGQUIT)
            eventually(lambda: gone(old))
            client.send("two")
            assert client.recv(10) == "two"
        use_everything(front, site)


def test_the_test_of_a_configuration_tells_that_workers_can_not_read_the_program(private, for_nobody) -> None:
    front = Proxy("user nobody nogroup;" + PLAIN, Binary((str(private / "program"),)), **for_nobody)
    said = front.check()
    assert said.code == 0
    assert f'user "nobody" can not read "{private}/penstock/__init__.py"' in said.output


REFUSING = """
import os, sys
from pathlib import Path

folder = {folder!r}

def refuse(*given, **named):
    from penstock.config.errors import ConfigFailed, Problems
    if os.path.exists(folder + "/refuse"):
        problems = Problems()
        problems.error("it can not be read here")
        raise ConfigFailed(problems)
    return load(*given, **named)

adoption = sys.modules.get("penstock.process.worker.take_plan")
if adoption is not None:
    load, adoption.load = adoption.load, refuse
    if os.path.exists(folder + "/barren"):
        os._exit(1)
"""


def version(number: int, *more: str) -> str:
    listens = f"listen 127.0.0.1:{{port:front}}; listen unix:{{dir}}/{number}.sock;"
    pid = "" if any("pid" in each for each in more) else "pid nginx.pid;"
    return f"{pid}{''.join(more)} http {{ server {{ {listens} location / {{ return 200 {number}; }} }} }}"


def serving(front: Proxy, workers: int) -> set[int]:
    """The workers, once they all serve."""
    eventually(lambda: len(list((front.directory / "nginx.control").glob("*"))) == workers)
    return front.children()


@pytest.mark.parametrize("workers", [1, 2])
def test_where_no_worker_can_go_by_a_configuration_the_old_one_stays(proxy, tmp_path, workers) -> None:
    late = LateImports(tmp_path, REFUSING.format(folder=str(tmp_path)))
    front = proxy(version(1, f"worker_processes {workers};"), env=late.env)
    pids = serving(front, workers)
    (tmp_path / "refuse").touch()
    (tmp_path / "barren").touch()
    for grown in (workers, workers + 2):
        front.reload(version(2, f"pid other.pid; worker_processes {grown};"))
        front.logged("the old one stays in force", name="error.log")
        assert front.get("/").body == b"1"
        eventually(lambda: front.children() == pids, why="those who can not begin are gone")
        assert not (front.directory / "other.pid").exists()
        assert not (front.directory / "2.sock").exists()
        assert (front.directory / "1.sock").exists()
    # Others can begin: they take the places of those who refuse.
    (tmp_path / "barren").unlink()
    front.reload(version(3, f"worker_processes {workers};"))
    eventually(lambda: front.get("/").body == b"3")
    eventually(lambda: len(front.children()) == workers and not front.children() & pids)
    assert (front.directory / "3.sock").exists()
    assert not (front.directory / "1.sock").exists()
    # Nobody refuses any more: nobody is replaced.
    (tmp_path / "refuse").unlink()
    pids = front.children()
    front.reload(version(4, f"worker_processes {workers};"))
    assert front.get("/").body == b"4"
    assert front.children() == pids


def test_a_user_as_whom_no_worker_begins_changes_nothing(proxy, tmp_path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    late = LateImports(tmp_path, REFUSING.format(folder=str(tmp_path)))
    front = proxy("user root;\n" + version(1), env=late.env)
    pids = serving(front, 1)
    (tmp_path / "barren").touch()
    front.reload(version(2, "user nobody nogroup;"))
    assert front.get("/").body == b"1"
    eventually(lambda: front.children() == pids, why="who can not begin is gone")
    (tmp_path / "barren").unlink()
    front.reload(version(2, "user nobody nogroup;"))
    eventually(lambda: front.get("/").body == b"2")
