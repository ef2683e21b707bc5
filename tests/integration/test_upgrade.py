"""Another program in the place of a running one: USR2, and what follows it."""

import os
import re
import shutil
import signal
import socket
import ssl
import sys
import threading
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from harness.backends import pause, read_head, until
from harness.binary import Binary, penstock
from harness.crowd import Crowd, EchoServers
from harness.processes import children, gone
from harness.proxy import Proxy
from harness.waiting import eventually

pytestmark = pytest.mark.alone

TUNNEL = """
    worker_processes 2;
    error_log error.log notice;
    worker_rlimit_nofile 8192;
    events { worker_connections 4096; }
    http {
        log_format tunnel '$request $status $connection $bytes_sent $upstream_addr';
        upstream back { least_conn; server 127.0.0.1:{port:one}; server 127.0.0.1:{port:two}; }
        server {
            listen 127.0.0.1:{port:front} backlog=2048;
            location / { return 200 $pid; }
            location /ws {
                access_log tunnel.log tunnel;
                proxy_pass http://back;
                proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection "upgrade";
            }
        }
    }
    """


SMALL = TUNNEL.replace("worker_processes 2;", "")


UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def old_pid(front: Proxy) -> Path:
    return front.directory / "nginx.pid.oldbin"


def begin(front: Proxy, workers: int = 1) -> int:
    """USR2; the new master's process id, once it and its workers are there."""
    old = front.pid
    front.send_signal(signal.SIGUSR2)
    new = front.successor(old, workers)
    assert old_pid(front).read_text() == f"{old}\n"
    return new


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program file that a test may replace by a newer one."""
    path = tmp_path / "program"
    install(path, "from penstock.cli.main import main", "sys.exit(main())")
    return path


def install(path: Path, *lines: str) -> None:
    new = path.with_suffix(".new")
    new.write_text("\n".join([f"#!{sys.executable}", "import sys", *lines, ""]))
    new.chmod(0o755)
    new.rename(path)


def end(front: Proxy, number: signal.Signals = signal.SIGTERM) -> None:
    """End the program that has the pid file now."""
    pid = front.pid
    os.kill(pid, number)
    eventually(lambda: gone(pid))
    if front._process is not None:
        front._process.wait(20)


@pytest.mark.alone
def test_tunnels_go_to_the_new_program(proxy) -> None:
    with EchoServers(2) as echo:
        front = proxy(TUNNEL, ports={"one": echo.ports[0], "two": echo.ports[1]})
        eventually(lambda: len(front.children()) == 2)
        with Crowd(front.port(), interval=0.1) as crowd:
            crowd.open(1000, "/ws")
            old, workers = front.pid, front.children()
            new = begin(front, 2)
            began = time.monotonic()
            os.kill(old, signal.SIGQUIT)
            eventually(lambda: gone(old) and all(map(gone, workers)))
            took = time.monotonic() - began
            time.sleep(1)
            told = crowd.settle()
            assert told.unharmed(1000), told
            # A tenth of a second for a hundred, where nothing else wants the cores.
            assert took < max(5.0, 100 * told.stall), (took, told)
            assert not old_pid(front).exists()
            assert not (front.directory / "tunnel.log").read_text()
            crowd.leave(1000)
        eventually(lambda: front.access_log("tunnel.log").count("\n") == 1000)
        lines = front.access_log("tunnel.log").splitlines()
        assert all(re.fullmatch(r"GET /ws HTTP/1.1 101 \d+ \d+ 127.0.0.1:\d+", line) for line in lines), lines[0]
        assert front.pid == new
        end(front)


def small(proxy, port: int, text: str = SMALL, **options):
    return proxy(text, ports={"one": port, "two": port}, **options)


def echoes(client, text: str) -> bool:
    client.send(text)
    return client.recv(20) == text


def test_rolling_back_brings_the_tunnels_back(proxy, ws_backend) -> None:
    front = small(proxy, ws_backend.port)
    old = front.pid
    new = begin(front)
    with connect(front.url("/ws", "ws")) as first, connect(front.url("/ws", "ws")) as second:
        assert echoes(first, "1") and echoes(second, "2")
        os.kill(new, signal.SIGQUIT)
        eventually(lambda: not old_pid(front).exists())
        assert (front.directory / "nginx.pid").read_text() == f"{old}\n"
        assert echoes(first, "3") and echoes(second, "4")
        assert front.get("/").status == 200
    front.logged(r"(?s)GET /ws .*GET /ws ", name="tunnel.log")
    assert front.access_log("tunnel.log").count("\n") == 2
    # And again, to the end.
    begin(front)
    os.kill(old, signal.SIGQUIT)
    eventually(lambda: gone(old))
    end(front)


def test_by_winch_and_back_by_hup(tmp_path, ws_backend) -> None:
    """What nginx's documentation describes, step by step, as a daemon."""
    ports = {"one": ws_backend.port, "two": ws_backend.port}
    front = Proxy("daemon on;" + SMALL, penstock(), directory=tmp_path, ports=ports)
    assert os.spawnvp(os.P_WAIT, front.command()[0], front.command()) == 0
    eventually((tmp_path / "nginx.pid").exists)
    eventually((tmp_path / "nginx.pid").read_text)
    old = front.pid
    masters = [old]
    try:
        worker = eventually(lambda: front.children())
        with connect(front.url("/ws", "ws")) as client:
            masters.append(begin(front))
            os.kill(old, signal.SIGWINCH)
            front.logged("gracefully shutting down", name="error.log")
            assert echoes(client, "tunnels stay, for there may be a way back")
            assert front.get("/").text not in map(str, worker)
            os.kill(old, signal.SIGHUP)
            # The worker with the tunnel, the new master, and a worker in the place of the one that was sent away.
            eventually(lambda: len(children(old)) == 3)
            os.kill(masters[1], signal.SIGQUIT)
            eventually(lambda: gone(masters[1]))
            assert echoes(client, "and here it still is")
            assert front.get("/").text in map(str, children(old) - worker)
            masters.append(begin(front))
            os.kill(old, signal.SIGWINCH)
            os.kill(old, signal.SIGQUIT)
            eventually(lambda: gone(old))
            assert echoes(client, "over there")
            assert front.get("/").text in map(str, children(masters[2]))
    finally:
        for pid in masters:
            if not gone(pid):
                os.kill(pid, signal.SIGTERM)
        eventually(lambda: all(map(gone, masters)))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["sys.exit('not today')"], "not today"),
        (["import os", "os.kill(os.getpid(), 11)"], "exited on signal 11"),
        (None, r"execve\(\) failed while executing new binary process"),
        (["from penstock.cli.main import main", "sys.argv[1:] = ['-c', '/none']", "sys.exit(main())"], "/none"),
    ],
    ids=["at once", "signal", "no interpreter", "no configuration"],
)
def test_a_new_version_that_does_not_start(program, ws_backend, lines, said) -> None:
    ports = {"one": ws_backend.port, "two": ws_backend.port}
    with Proxy(SMALL, Binary((str(program),)), ports=ports, expect=["11", "execve", "none"]) as front:
        if lines is None:
            program.write_text("#!/nowhere/python\n")
        else:
            install(program, *lines)
        pid = front.pid
        with connect(front.url("/ws", "ws")) as client:
            front.send_signal(signal.SIGUSR2)
            front.logged("the new program did not come up", name="error.log")
            assert re.search(said, front._said()), front._said()
            eventually(lambda: front.pid == pid and not old_pid(front).exists())
            assert echoes(client, "still here")
            assert front.get("/").status == 200
        install(program, "from penstock.cli.main import main", "sys.exit(main())")
        begin(front)
        os.kill(pid, signal.SIGQUIT)
        eventually(lambda: gone(pid))
        end(front)


def test_a_new_configuration_that_is_wrong(proxy, ws_backend) -> None:
    front = small(proxy, ws_backend.port, expect=["mistake"])
    pid = front.pid
    front.configure("mistake;" + SMALL)
    front.send_signal(signal.SIGUSR2)
    front.logged("the new program did not come up", name="error.log")
    front.logged('unknown directive "mistake"', name="error.log")
    assert front.pid == pid
    assert front.get("/").status == 200


def test_one_change_at_a_time(proxy, ws_backend) -> None:
    front = small(proxy, ws_backend.port)
    old = front.pid
    new = begin(front)
    for pid in (old, new):
        os.kill(pid, signal.SIGUSR2)
        front.logged(rf"\[crit\] {pid}#{pid}: the changing binary signal is ignored", name="error.log")
    os.kill(new, signal.SIGTERM)
    eventually(lambda: gone(new))
    assert front.get("/").status == 200


def test_unix_socket_outlives_the_old_program(proxy, ws_backend) -> None:
    front = small(proxy, ws_backend.port, SMALL.replace("server {", "server { listen unix:{dir}/front.sock;", 1))
    path, old = front.directory / "front.sock", front.pid
    inode = path.stat().st_ino
    begin(front)
    os.kill(old, signal.SIGQUIT)
    eventually(lambda: gone(old))
    assert path.stat().st_ino == inode
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    end(front)
    assert not path.exists()


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("mute", ""),
        ("version", "tunnels stay in this process: stranger/9 hands tunnels over in version 99"),
        ("noise", "tunnels stay in this process: a frame is longer than any may be"),
        ("refuse", "2 tunnels stay in this process: no room"),
        ("crash", "tunnels stay in this process: the other side has closed"),
    ],
)
def test_a_taker_that_fails_loses_nothing(program, ws_backend, mode, said) -> None:
    ports = {"one": ws_backend.port, "two": ws_backend.port}
    script = Path(__file__).parents[1] / "harness" / "successor.py"
    with Proxy(SMALL, Binary((str(program),)), ports=ports) as front:
        with connect(front.url("/ws", "ws")) as first, connect(front.url("/ws", "ws")) as second:
            install(program, f"sys.argv[1:] = [{mode!r}]", f"exec(open({str(script)!r}).read())")
            front.send_signal(signal.SIGUSR2)
            eventually(lambda: len(front_children(front)) == 2)
            os.kill(int(old_pid(front).read_text()), signal.SIGQUIT)
            front.logged(said or "gracefully shutting down", name="error.log")
            time.sleep(0.2)
            assert echoes(first, "still here") and echoes(second, "me too")
            first.send("x" * 100_000)
            assert first.recv(20) == "x" * 100_000
        assert front._process.wait(20) == 0
        assert front.access_log("tunnel.log").count("\n") == 2


def test_a_taker_that_dies_is_followed_by_another(proxy) -> None:
    with EchoServers(2) as echo:
        ports = {"one": echo.ports[0], "two": echo.ports[1]}
        front = proxy(SMALL, ports=ports, expect=["exited on signal 9"])
        old = front.pid
        with Crowd(front.port()) as crowd:
            crowd.open(100, "/ws")
            (taker,) = children(begin(front))
            os.kill(taker, signal.SIGSTOP)
            os.kill(old, signal.SIGQUIT)
            front.logged("gracefully shutting down", name="error.log")
            os.kill(taker, signal.SIGKILL)
            eventually(lambda: gone(old))
            assert crowd.settle().unharmed(100)
        end(front)


def front_children(front: Proxy) -> set[int]:
    return children(front._process.pid)


def test_what_is_on_its_way_arrives_once(proxy, raw_backend) -> None:
    """Both directions full, and nobody reads: what the old program has read and not sent goes with the tunnel."""
    head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
    down = os.urandom(1 << 20) * 16
    up = os.urandom(1 << 20) * 16
    upgraded = threading.Event()

    def talk(conversation) -> None:
        conversation.socket.setblocking(True)
        sender = threading.Thread(target=conversation.socket.sendall, args=(down,))
        sender.start()
        upgraded.wait(20)
        while len(conversation.received) - conversation.mark < len(up) and conversation.fill():
            pass
        sender.join(20)

    def begin_talk(conversation) -> None:
        conversation.mark = conversation.received.index(b"\r\n\r\n") + 4

    backend = raw_backend([read_head, begin_talk, head, talk])
    front = small(proxy, backend.port)
    old = front.pid
    with front.client(timeout=20) as client:
        client.send(b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        while b"\r\n\r\n" not in client.buffer:
            client.buffer += client.socket.recv(1000)
        shown, _, got = client.buffer.partition(b"\r\n\r\n")
        sender = threading.Thread(target=client.socket.sendall, args=(up,))
        sender.start()
        time.sleep(0.5)
        begin(front)
        os.kill(old, signal.SIGQUIT)
        eventually(lambda: gone(old))
        upgraded.set()
        pieces = [got]
        count = len(got)
        while count < len(down):
            piece = client.socket.recv(1 << 20)
            assert piece
            pieces.append(piece)
            count += len(piece)
        sender.join(20)
        assert b"".join(pieces) == down
        talked = backend.conversations[0]
        eventually(lambda: len(talked.received) - talked.mark >= len(up), 20)
        assert talked.received[talked.mark :] == up
    front.logged(rf"GET /ws HTTP/1.1 101 \d+ {len(down) + len(shown) + 4} ", name="tunnel.log")
    end(front)


def test_half_closed_and_silent_ones(proxy, raw_backend) -> None:
    head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
    over = threading.Event()
    backend = raw_backend([read_head, head, until(over)])
    text = SMALL.replace("proxy_pass http://back;", "proxy_pass http://back; proxy_read_timeout 4s;")
    front = small(proxy, backend.port, text)
    old = front.pid
    with front.client(timeout=10) as client:
        client.send(b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        client.recv_until(b"\r\n\r\n")
        began = time.monotonic()
        client.half_close()
        time.sleep(1)
        begin(front)
        os.kill(old, signal.SIGQUIT)
        eventually(lambda: gone(old))
        assert client.recv_all() == b""
        assert 3 < time.monotonic() - began < 15, "the deadline is that of the tunnel, not of its new home"
    over.set()
    front.logged(r"tunnel closed after 4s .*client: 127.0.0.1, server: , request: \"GET /ws", name="error.log")
    end(front)


def test_a_frame_in_two_halves(proxy, ws_backend) -> None:
    """Who looks at frames goes on looking in the middle of one, and counts on."""
    form = "log_format tunnel '$websocket_messages_in $websocket_messages_out $websocket_bytes_in $websocket_close_code"
    text = SMALL.replace("log_format tunnel '", form + " ").replace("access_log t", "websocket_ping 60s; access_log t")
    front = small(proxy, ws_backend.port, text)
    old = front.pid
    payload = os.urandom(3000).hex().encode()
    frame = bytes([0x81, 0xFE, len(payload) >> 8, len(payload) & 0xFF, 0, 0, 0, 0]) + payload
    with front.client(timeout=10) as client:
        client.send(HANDSHAKE)
        client.recv_until(b"\r\n\r\n")
        client.send(frame + frame[:1234])
        assert client.recv_exactly(len(payload) + 4)[4:] == payload
        begin(front)
        os.kill(old, signal.SIGQUIT)
        eventually(lambda: gone(old))
        client.send(frame[1234:])
        assert client.recv_exactly(len(payload) + 4)[4:] == payload
        client.send(b"\x88\x82\0\0\0\0\x03\xe8")
        assert client.recv_all() == b"\x88\x02\x03\xe8"
    front.logged(rf"2 2 {2 * len(payload)} 1000 GET /ws", name="tunnel.log")
    end(front)


def test_a_quota_counts_what_a_tunnel_says_that_was_taken_over(proxy, ws_backend) -> None:
    text = SMALL.replace("http {", "http { websocket_quota_zone $server_port zone=quota:64k;").replace(
        "proxy_pass http://back;", "websocket auto; websocket_quota quota tunnels=2 messages=3/d; proxy_pass http://back;"
    )
    front = small(proxy, ws_backend.port, text)
    old = front.pid
    with connect(front.url("/ws", "ws")) as first, connect(front.url("/ws", "ws")) as second:
        assert echoes(first, "counts here, and not there")
        begin(front)
        os.kill(old, signal.SIGQUIT)
        eventually(lambda: gone(old))
        for word in ("x", "y", "z"):
            assert echoes(second, word)
        with connect(front.url("/ws", "ws")) as third, pytest.raises(ConnectionClosed) as refused:
            third.recv(10)
        assert refused.value.rcvd is not None and refused.value.rcvd.reason == "quota of tunnels used up"
        second.send("one too many")
        with pytest.raises(ConnectionClosed) as ended:
            while second.recv(10):
                pass
        assert ended.value.rcvd is not None and ended.value.rcvd.reason == "quota of messages used up"
    end(front)


def test_a_tunnel_that_opens_while_its_worker_leaves(proxy, raw_backend) -> None:
    backend = raw_backend([read_head, pause(1.5), UPGRADED, pause(0.5), b"hello", pause(10)])
    front = small(proxy, backend.port)
    old = front.pid
    with front.client(timeout=10) as client:
        client.send(HANDSHAKE)
        begin(front)
        os.kill(old, signal.SIGQUIT)
        client.recv_until(b"\r\n\r\n")
        assert client.recv_exactly(5) == b"hello"
        eventually(lambda: gone(old))
    end(front)


def test_limits_count_what_was_taken_over(proxy, ws_backend) -> None:
    text = SMALL.replace("http {", "http { limit_conn_zone $server_port zone=one:32k;").replace(
        "proxy_pass http://back;", "limit_conn one 2; proxy_pass http://back;"
    )
    front = small(proxy, ws_backend.port, text)
    old = front.pid
    ask = {"Upgrade": "websocket", "Connection": "upgrade", "Sec-WebSocket-Version": "13"}
    ask["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    with connect(front.url("/ws", "ws")) as first, connect(front.url("/ws", "ws")):
        begin(front)
        os.kill(old, signal.SIGQUIT)
        eventually(lambda: gone(old))
        assert echoes(first, "x")
        assert front.get("/ws", ask).status == 503
        first.close()
        eventually(lambda: front.get("/ws", ask).status == 101)
    end(front)


def test_least_conn_counts_what_was_taken_over(proxy) -> None:
    with EchoServers(2) as echo:
        text = SMALL.replace("server 127.0.0.1:{port:two};", "server 127.0.0.1:{port:two} down;")
        front = proxy(text, ports={"one": echo.ports[0], "two": echo.ports[1]})
        old = front.pid
        with Crowd(front.port()) as crowd:
            crowd.open(10, "/ws")
            assert echo.report().live == [10, 0]
            front.configure(SMALL)
            begin(front)
            os.kill(old, signal.SIGQUIT)
            eventually(lambda: gone(old))
            crowd.open(10, "/ws")
            assert echo.report().live == [10, 10]
            assert crowd.settle().unharmed(20)
        end(front)


def test_a_drain_is_for_those_that_stay(proxy) -> None:
    """Who goes with `websocket_drain` and has a successor sends nobody away that the other can take."""
    with EchoServers(2) as echo:
        text = SMALL.replace("http {", "http { websocket_drain 5s;", 1)
        front = proxy(text, ports={"one": echo.ports[0], "two": echo.ports[1]})
        old = front.pid
        with Crowd(front.port()) as crowd:
            crowd.open(200, "/ws")
            begin(front)
            os.kill(old, signal.SIGQUIT)
            eventually(lambda: gone(old), 20)
            assert crowd.settle().unharmed(200)
        end(front)


def test_a_smaller_number_of_workers(proxy) -> None:
    """The worker that is too many gives its tunnels to the one that stays."""
    with EchoServers(2) as echo:
        front = proxy(TUNNEL, ports={"one": echo.ports[0], "two": echo.ports[1]})
        eventually(lambda: len(front.children()) == 2)
        with Crowd(front.port()) as crowd:
            crowd.open(200, "/ws")
            workers = front.children()
            front.reload(SMALL)
            eventually(lambda: len(front.children()) == 1, 20)
            assert front.children() < workers
            assert crowd.settle().unharmed(200)
            assert sum(echo.report().live) == 200
            crowd.resume()
            crowd.open(50, "/ws")
            assert sorted(echo.report().live) == [125, 125], "least_conn counts each once"
            assert crowd.settle().unharmed(250)
        eventually(lambda: front.access_log("tunnel.log").count("\n") == 250)


def test_tunnels_with_tls_stay_until_they_end(proxy, ws_backend, authority) -> None:
    pair = authority.issue("localhost")
    text = SMALL.replace("server {", "server { listen 127.0.0.1:{port:tls} ssl;", 1)
    text = text.replace("http {", f"http {{ ssl_certificate {pair.certificate}; ssl_certificate_key {pair.key};", 1)
    front = small(proxy, ws_backend.port, text)
    trust = ssl.create_default_context(cafile=str(authority.certificate))
    old = front.pid
    url = f"wss://localhost:{front.port('tls')}/ws"
    with connect(url, ssl=trust) as secret, connect(front.url("/ws", "ws", port="front")) as plain:
        begin(front)
        os.kill(old, signal.SIGQUIT)
        front.logged("1 tunnels were handed over, 1 with TLS stay until they end", name="error.log")
        assert echoes(secret, "1") and echoes(plain, "2")
        assert not gone(old)
    eventually(lambda: gone(old))
    end(front)


def test_from_nginx_and_back(nginx, tmp_path, ws_backend) -> None:
    """Either may replace the other while it serves: the sockets go the way that nginx goes."""
    program = tmp_path / "nginx"
    real = shutil.which(nginx.binary.command[0])
    assert real is not None
    program.symlink_to(real)
    ports = {"one": ws_backend.port, "two": ws_backend.port}
    front = Proxy("daemon on;" + SMALL, Binary((str(program),)), directory=tmp_path / "site", ports=ports)
    assert os.spawnv(os.P_WAIT, str(program), front.command()) == 0
    eventually((front.directory / "nginx.pid").exists)
    pids = [front.pid]

    def replace(newer: str) -> None:
        program.unlink()
        program.symlink_to(newer)
        pids.append(begin(front, 1))
        os.kill(pids[-2], signal.SIGQUIT)
        for _ in range(20):
            assert front.get("/").status == 200

    try:
        with connect(front.url("/ws", "ws")) as client:
            replace(penstock().command[0])
            assert echoes(client, "nginx can not hand it over, and keeps it")
        eventually(lambda: gone(pids[0]))
        replace(real)
        eventually(lambda: gone(pids[1]))
    finally:
        for pid in pids:
            if not gone(pid):
                os.kill(pid, signal.SIGTERM)
        eventually(lambda: all(map(gone, pids)))
