"""The life of the processes: start, signals, reload, workers that die, and the end."""

import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from websockets.sync.client import connect

from harness.backends import until
from harness.binary import penstock
from harness.ports import free_port
from harness.processes import children, gone
from harness.proxy import Proxy
from harness.waiting import eventually

SITE = """
    http {
        server {
            listen 127.0.0.1:{port:front};
            location / { return 200 one; }
        }
    }
    """

TUNNEL = """
    http {
        server {
            listen 127.0.0.1:{port:front};
            location / { return 200 one; }
            location /ws {
                proxy_pass http://127.0.0.1:{port:api};
                proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection "upgrade";
            }
        }
    }
    """


def refused(front, port: str) -> bool:
    try:
        front.client(port).close()
    except ConnectionRefusedError:
        return True
    return False


def worker(front) -> int:
    """The one worker; the pid file is there a moment before it."""
    eventually(lambda: len(front.children()) == 1)
    (pid,) = front.children()
    return pid


# The start


def test_pid_file_is_written_when_it_listens_and_goes_with_the_master(proxy) -> None:
    front = proxy(SITE)
    assert front.get("/").text == "one"
    pid_file = front.directory / "nginx.pid"
    assert pid_file.read_text() == f"{front.pid}\n"
    front.stop()
    assert not pid_file.exists()


def test_notices_are_those_of_nginx(proxy) -> None:
    front = proxy(SITE)
    master, child = front.pid, worker(front)
    front.stop(signal.SIGQUIT)
    log = front.error_log()
    for line in (
        rf"{master}#{master}: start worker processes",
        rf"{master}#{master}: start worker process {child}",
        rf"{master}#{master}: signal 3 \(SIGQUIT\) received from {os.getpid()}, shutting down",
        rf"{child}#{child}: gracefully shutting down",
        rf"{child}#{child}: exiting",
        rf"{master}#{master}: worker process {child} exited with code 0",
        rf"{master}#{master}: exit",
    ):
        assert re.search(rf"\[notice\] {line}\n", log), f"{line}\n{log}"


def test_as_many_workers_as_asked_for(proxy) -> None:
    front = proxy("worker_processes 3;" + SITE)
    eventually(lambda: len(front.children()) == 3)
    assert front.get("/").status == 200


def test_auto_is_a_worker_for_each_core(proxy) -> None:
    front = proxy("worker_processes auto;" + SITE)
    eventually(lambda: len(front.children()) == len(os.sched_getaffinity(0)))


def test_port_in_use(proxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refusal = proxy.refuses(SITE, ports={"front": port})
    assert refusal.code == 1
    assert (
        refusal.output.count(f"penstock: [emerg] bind() to 127.0.0.1:{port} failed (98: Address already in use)") == 5
    )
    assert "penstock: [emerg] still could not bind()" in refusal.output


def test_port_that_becomes_free_in_time(proxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        late = subprocess.Popen(["sleep", "1"])
        front = Proxy(SITE, penstock(), ports={"front": port}, expect=[r"bind\(\) to"])
        front.command()
        with (front.directory / "output").open("wb") as output:
            front._process = subprocess.Popen(front.command(), stderr=output, start_new_session=True)
        late.wait()
    try:
        eventually(front._ready)
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        front.stop()
    finally:
        front.discard()


def test_daemon(tmp_path) -> None:
    front = Proxy("daemon on;" + SITE, penstock(), directory=tmp_path)
    done = subprocess.run(front.command(), timeout=20, stdin=subprocess.DEVNULL)
    assert done.returncode == 0
    eventually((tmp_path / "nginx.pid").exists)
    eventually((tmp_path / "nginx.pid").read_text)
    pid = front.pid
    try:
        assert front.client(next(iter(front.ports))).send(b"GET / HTTP/1.0\r\n\r\n").response("GET").status == 200
        assert os.getsid(pid) == pid
        assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")
        child = worker(front)
        os.kill(pid, signal.SIGWINCH)
        eventually(lambda: front.children() == set())
        assert gone(child)
        os.kill(pid, signal.SIGHUP)
        assert worker(front) != child
        assert subprocess.run(front.command("-s", "quit"), timeout=20).returncode == 0
        eventually(lambda: gone(pid))
    finally:
        if not gone(pid):
            os.kill(pid, signal.SIGKILL)


def test_without_a_master(proxy) -> None:
    front = proxy("master_process off;" + SITE)
    assert front.children() == set()
    assert front.get("/").text == "one"
    front.configure("master_process off;" + SITE.replace("one", "two"))
    front.send_signal(signal.SIGHUP)
    eventually(lambda: front.get("/").text == "two")
    front.stop(signal.SIGQUIT)


# Workers that die


def test_dead_worker_is_replaced_at_once(proxy) -> None:
    front = proxy(SITE, expect=["exited on signal 9"])
    victim = worker(front)
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: front.children() - {victim})
    assert front.get("/").text == "one"
    front.logged(rf"\[alert\] \d+#\d+: worker process {victim} exited on signal 9", name="error.log")


def test_worker_that_dies_again_and_again_is_given_time(proxy) -> None:
    front = proxy(SITE, expect=["exited on signal 9"])
    for _ in range(4):
        victim = eventually(lambda: next(iter(front.children()), None))
        died = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        eventually(lambda victim=victim: gone(victim))
        eventually(lambda victim=victim: front.children() - {victim})
    assert time.monotonic() - died > 0.3
    said = re.findall(r"(\d) workers in a row .* begins in ([\d.]+)s", front.error_log())
    assert said == [("2", "0.1"), ("3", "0.2"), ("4", "0.4")], "and the first time without a word, at once"


def test_workers_leave_when_the_master_is_killed(proxy, ws_backend) -> None:
    front = proxy(TUNNEL, ports={"api": ws_backend.port}, expect=["the master process is gone"])
    child = worker(front)
    with connect(front.url("/ws", "ws")) as client:
        os.kill(front.pid, signal.SIGKILL)
        front._process.wait()
        front.logged("gracefully shutting down", name="error.log")
        client.send("still here")
        assert client.recv() == "still here"
        assert not gone(child)
    eventually(lambda: gone(child))
    front._process = None


# The end


def test_quit_lets_a_tunnel_go_on(proxy, ws_backend) -> None:
    front = proxy(TUNNEL, ports={"api": ws_backend.port})
    with connect(front.url("/ws", "ws")) as client:
        front.send_signal(signal.SIGQUIT)
        front.logged("gracefully shutting down", name="error.log")
        eventually(lambda: refused(front, "front"))
        client.send("hello")
        assert client.recv() == "hello"
        assert front._process.poll() is None
    assert front._process.wait(20) == 0


def test_quit_ends_idle_connections_at_once(proxy) -> None:
    front = proxy(SITE)
    with front.client() as fresh, front.client() as idle:
        assert idle.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").response("GET").status == 200
        began = time.monotonic()
        front.send_signal(signal.SIGQUIT)
        assert idle.socket.recv(1) == b""
        assert fresh.socket.recv(1) == b""
        assert front._process.wait(20) == 0
        assert time.monotonic() - began < 15, "and not its own timeout, which is more than a minute"


def test_quit_lets_a_request_finish(proxy, raw_backend) -> None:
    asked_to_go = threading.Event()
    slow = raw_backend([until(asked_to_go), b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow"])
    text = SITE.replace("return 200 one;", "proxy_pass http://127.0.0.1:{port:api};")
    front = proxy(text, ports={"api": slow.port})
    with front.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: slow.conversations)
        front.send_signal(signal.SIGQUIT)
        front.logged("gracefully shutting down", name="error.log")
        asked_to_go.set()
        answer = client.response("GET")
        assert (answer.status, answer.text) == (200, "slow")
    assert front._process.wait(20) == 0


def test_request_in_flight_is_the_last_of_its_connection(proxy, raw_backend) -> None:
    asked_to_go = threading.Event()
    slow = raw_backend([until(asked_to_go), b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow"])
    front = proxy(SITE.replace("return 200 one;", "proxy_pass http://127.0.0.1:{port:api};"), ports={"api": slow.port})
    with front.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: slow.conversations)
        front.send_signal(signal.SIGQUIT)
        front.logged("gracefully shutting down", name="error.log")
        asked_to_go.set()
        assert client.response("GET").header("connection") == "close"


def test_shutdown_timeout_ends_tunnels(proxy, ws_backend) -> None:
    front = proxy("worker_shutdown_timeout 500ms;" + TUNNEL, ports={"api": ws_backend.port})
    with connect(front.url("/ws", "ws")) as client:
        began = time.monotonic()
        front.send_signal(signal.SIGQUIT)
        with pytest.raises(Exception, match=r"close|going away"):
            client.recv(20)
        assert 0.3 < time.monotonic() - began < 15
    assert front._process.wait(20) == 0
    assert front.logged(r'"GET /ws HTTP/1.1" 101 ')


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_fast_end_waits_for_nobody(proxy, ws_backend, number) -> None:
    front = proxy("worker_processes 2;" + TUNNEL, ports={"api": ws_backend.port})
    with connect(front.url("/ws", "ws")):
        began = time.monotonic()
        front.stop(number)
        assert time.monotonic() - began < 8


def test_stuck_worker_is_killed(proxy) -> None:
    front = proxy(SITE, expect=["exited on signal 9"])
    os.kill(worker(front), signal.SIGSTOP)
    began = time.monotonic()
    front.stop(signal.SIGTERM)
    assert time.monotonic() - began < 9


def test_resized_terminal_stops_nobody_in_the_foreground(proxy) -> None:
    front = proxy(SITE)
    child = worker(front)
    front.send_signal(signal.SIGWINCH)
    front.logged(r"signal 28 \(SIGWINCH\) received", name="error.log")
    assert front.get("/").text == "one"
    assert worker(front) == child


# Reload


def test_reload_serves_the_new_configuration(proxy) -> None:
    front = proxy(SITE)
    old = worker(front)
    front.reload(SITE.replace("one", "two"))
    eventually(lambda: front.get("/").text == "two")
    assert worker(front) == old


def test_reload_loses_no_connection(proxy) -> None:
    front = proxy(SITE)
    for _ in range(3):
        front.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 0.4
        while time.monotonic() < deadline:
            assert front.get("/").status == 200


def test_reload_keeps_tunnels(proxy, ws_backend) -> None:
    front = proxy(TUNNEL, ports={"api": ws_backend.port})
    with connect(front.url("/ws", "ws")) as client:
        front.reload(TUNNEL.replace("one", "two"))
        eventually(lambda: front.get("/").text == "two")
        client.send("hello")
        assert client.recv() == "hello"
        assert len(front.children()) == 1


def test_bad_configuration_changes_nothing(proxy) -> None:
    front = proxy(SITE, expect=["unknown directive", "invalid value"])
    child = worker(front)
    front.configure(SITE.replace("return 200 one;", "retrn 200; etag maybe;"))
    front.send_signal(signal.SIGHUP)
    front.logged(r'\[emerg\] .*: unknown directive "retrn" in .*nginx.conf:\d+\n', name="error.log")
    front.logged(r'\[emerg\] .*: invalid value "maybe" in "etag" directive', name="error.log")
    front.logged("the old one stays in force", name="error.log")
    assert front.get("/").text == "one"
    assert worker(front) == child


def test_reload_moves_to_other_addresses(proxy) -> None:
    front = proxy(SITE.replace("server {", "server { listen 127.0.0.1:{port:other};"))
    assert front.get("/", port="other").status == 200
    front.reload(SITE.replace("server {", "server { listen 127.0.0.1:{port:new};"))
    eventually(lambda: not refused(front, "new"))
    assert front.get("/", port="new").status == 200
    assert front.get("/", port="front").status == 200
    eventually(lambda: refused(front, "other"))


def test_address_that_can_not_be_bound_changes_nothing(proxy) -> None:
    front = proxy(SITE, expect=["bind"])
    with socket.create_server(("127.0.0.1", 0)) as other:
        front.ports["taken"] = other.getsockname()[1]
        front.configure(
            SITE.replace("server {", "server { listen 127.0.0.1:{port:new}; listen 127.0.0.1:{port:taken};")
        )
        front.send_signal(signal.SIGHUP)
        front.logged("the old one stays in force", name="error.log")
    assert front.get("/").text == "one"
    assert refused(front, "new")


def test_reload_changes_the_number_of_workers_and_the_pid_file(proxy) -> None:
    front = proxy("pid nginx.pid;" + SITE)
    pid = front.pid
    front.configure("worker_processes 2; pid other.pid;" + SITE)
    os.kill(pid, signal.SIGHUP)
    eventually(lambda: (front.directory / "other.pid").exists())
    eventually(lambda: not (front.directory / "nginx.pid").exists())
    assert (front.directory / "other.pid").read_text() == f"{pid}\n"
    eventually(lambda: len(children(pid)) == 2)
    front._process.terminate()
    assert front._process.wait(20) == 0
    front._process = None


def test_many_reloads_leave_nothing_behind(proxy) -> None:
    front = proxy(SITE)
    descriptors = Path(f"/proc/{front.pid}/fd")

    def reload_and_count() -> int:
        done = front.error_log().count("is in force")
        front.reload()
        eventually(lambda: front.error_log().count("is in force") > done)
        return len(list(descriptors.iterdir()))

    before = reload_and_count()
    for _ in range(4):
        after = reload_and_count()
    assert after == before


# Sockets


def test_reuseport_gives_each_worker_its_own(proxy) -> None:
    front = proxy("worker_processes 2;" + SITE.replace("{port:front};", "{port:front} reuseport;"))
    for _ in range(20):
        assert front.get("/").status == 200
    text = Path("/proc/net/tcp").read_text()
    assert text.count(f"0100007F:{front.port():04X} 00000000:0000 0A") == 2
    front.reload("worker_processes 3;" + SITE.replace("{port:front};", "{port:front} reuseport;"))
    eventually(lambda: len(front.children()) == 3)
    for _ in range(20):
        assert front.get("/").status == 200


def test_unix_socket_comes_and_goes(proxy) -> None:
    front = proxy(SITE.replace("server {", "server { listen unix:{dir}/front.sock;"))
    path = front.directory / "front.sock"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    front.reload(SITE)
    eventually(lambda: not path.exists())
    front.logged("deleting socket", name="error.log")
    front.reload(SITE.replace("server {", "server { listen unix:{dir}/front.sock;"))
    eventually(path.exists)
    front.stop()
    assert not path.exists()


def test_check_leaves_a_running_proxy_alone(proxy) -> None:
    front = proxy(SITE.replace("server {", "server { listen unix:{dir}/front.sock;"))
    checked = front.check()
    assert checked.code == 0, checked.output
    assert (front.directory / "front.sock").exists()
    assert front.pid == front._process.pid
    assert front.get("/").status == 200


def test_check_tries_the_addresses(proxy) -> None:
    checked = proxy.check(SITE.replace("127.0.0.1:{port:front}", "192.0.2.1:{port:front}"))
    assert checked.code == 1
    assert re.search(
        r"\[emerg\] bind\(\) to 192.0.2.1:\d+ failed \(99: Cannot assign requested address\)", checked.output
    )


# What a worker is


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")
def test_worker_is_somebody_else(proxy, tmp_path) -> None:
    front = proxy("user nobody nogroup;" + SITE)
    front.directory.chmod(0o755)
    assert front.get("/").status == 200
    status = Path(f"/proc/{worker(front)}/status").read_text()
    assert re.search(r"\nUid:\t65534\t65534\t65534\t65534\n", status)
    assert re.search(r"\nGid:\t65534\t65534\t65534\t65534\n", status)
    assert re.search(r"\nUid:\t0\t", Path(f"/proc/{front.pid}/status").read_text())
    (front.directory / "access.log").rename(front.directory / "old")
    front.send_signal(signal.SIGUSR1)
    eventually(lambda: (front.directory / "access.log").exists())
    assert (front.directory / "access.log").stat().st_uid == 65534
    time.sleep(0.2)
    front.get("/")
    front.logged('"GET / HTTP/1.1" 200')


def test_limits_environment_and_folder(proxy) -> None:
    front = proxy(
        "worker_rlimit_nofile 600; worker_priority 3; working_directory {dir}/www; env KEPT; env SET=yes; env GONE;"
        + SITE,
        files={"www/x": ""},
        env={"KEPT": "kept", "DROPPED": "dropped"},
    )
    assert front.get("/").status == 200
    folder = Path(f"/proc/{worker(front)}")
    assert re.search(r"Max open files +600 +600 ", (folder / "limits").read_text())
    assert (folder / "cwd").readlink() == front.directory / "www"
    assert os.getpriority(os.PRIO_PROCESS, worker(front)) == 3


def test_folder_that_is_not_there_is_fatal(proxy) -> None:
    front = proxy("working_directory {dir}/none;" + SITE, expect=["chdir", "exited with fatal code 2"])
    front.logged(r'\[alert\] .*: chdir\("[^"]*/none"\) failed \(2: ', name="error.log")
    front.logged("exited with fatal code 2 and cannot be respawned", name="error.log")
    time.sleep(0.3)
    assert front.children() == set()


def test_free_ports_are_free() -> None:
    """The ports of this file are reserved: the tests of busy ones must mean what they say."""
    with socket.socket() as sock:
        # As servers do; the port may be an ended connection's still (TIME_WAIT).
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", free_port()))
