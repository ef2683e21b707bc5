"""A reload happens inside the workers: what is open stays open, and what is new is in force at once."""

import grp
import os
import pwd
import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from harness.backends import until
from harness.crowd import Crowd, EchoServers, Report
from harness.processes import resident
from harness.proxy import Proxy
from harness.waiting import eventually

pytestmark = pytest.mark.alone

TUNNELS = """
    worker_processes {value:workers};
    events { worker_connections 4096; }
    http {
        upstream app {
            {value:balance}
            {value:servers}
        }
        server {
            listen 127.0.0.1:{port:front};
            location / {
                proxy_pass http://app;
                proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection upgrade;
                proxy_read_timeout {value:timeout}s;
            }
            location /number { return 200 {value:number}; }
        }
    }
    """

NUMBER = """
    worker_processes {value:workers};
    http {
        server {
            listen 127.0.0.1:{port:front};
            location / { return 200 {value:number}; }
        }
    }
    """


def values(**changed: object) -> dict[str, object]:
    given: dict[str, object] = {"workers": 1, "balance": "", "timeout": 60, "number": 0}
    return {**given, **changed}


def servers(echo: EchoServers, *more: str) -> str:
    return " ".join([*(f"server 127.0.0.1:{port};" for port in echo.ports), *more])


def in_force(front: Proxy) -> int:
    """How many reloads have been taken up by all workers."""
    return len(re.findall(r"configuration \d+ is in force", front.error_log()))


def reload(front: Proxy, **changed: object) -> None:
    """With other values, until all workers have taken it up. On a busy machine a worker takes long for a large one: who
    makes it gives way to every message."""
    done = in_force(front)
    front.values.update(changed)
    front.configure(front.template)
    front.send_signal(signal.SIGHUP)
    eventually(lambda: in_force(front) > done, 60, why=f"the reload is over:\n{front.error_log()[-2000:]}")


@pytest.fixture
def start(proxy):
    """A proxy that remembers its template."""

    def begin(text: str, **options) -> Proxy:
        front = proxy(text, **options)
        front.template = text
        eventually(lambda: len(front.children()) == int(options["values"]["workers"]))
        return front

    return begin


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208


def answers(front: Proxy, text: object, port: str = "front", target: str = "/") -> bool:
    return front.get(target, port=port).text == str(text)


def refused(front: Proxy, port: str) -> bool:
    try:
        front.client(port).close()
    except ConnectionRefusedError:
        return True
    return False


def unharmed(told: Report, count: int) -> None:
    assert told.unharmed(count), told


def opened_all(told: Report, count: int) -> None:
    assert told.open == count and not told.refused, told


def in_time(told: Report) -> None:
    """No message came back later than 500 ms; where the machine has other work, the clients themselves stall by it."""
    assert told.latest < max(0.5, 10 * told.stall), told


# Tunnels


def test_a_thousand_tunnels_and_twenty_reloads(start) -> None:
    """Whatever changes: nothing is dropped, lost or reordered, by the same processes, with the same memory."""
    with EchoServers(2) as echo:
        given = values(workers=2, servers=servers(echo), balance="least_conn;")
        front = start(TUNNELS, values=given)
        with Crowd(front.port()) as crowd:
            opened_all(crowd.open(1000, "/", "/other"), 1000)
            eventually(lambda: sum(echo.report().live) == 1000)
            reload(front, number=1)
            time.sleep(1.0)
            before = {pid: (resident(pid), descriptors(pid)) for pid in front.children()}
            crowd.forget()
            began = time.monotonic()
            for number in range(2, 22):
                extra = "server 127.0.0.1:1 backup;" if number % 2 else "keepalive 4;"
                front.values.update(number=number, timeout=60 + number, servers=servers(echo, extra))
                front.configure(front.template)
                front.send_signal(signal.SIGHUP)
                time.sleep(max(0.0, began + (number - 1) * 0.5 - time.monotonic()))
            eventually(lambda: answers(front, 21, target="/number"))
            time.sleep(1.0)
            told = crowd.settle()
            unharmed(told, 1000)
            in_time(told)
            assert set(before) == front.children()
            for pid, (held, numbers) in before.items():
                # What the last plan but one had is freed a bit at a time.
                eventually(lambda pid=pid, held=held: resident(pid) < 1.1 * held)
                eventually(lambda pid=pid, numbers=numbers: descriptors(pid) == numbers)


def test_nobody_waits_for_a_large_configuration(start) -> None:
    """It is loaded, taken up and freed between the messages of the others."""
    site = "server {{ listen 127.0.0.1:{{port:front}}; server_name site{}.test; {} }}"
    location = "location /{} {{{{ proxy_pass http://app; proxy_set_header X-Site {}; }}}}"
    sites = "".join(site.format(each, "".join(location.format(at, each) for at in range(3))) for each in range(500))
    with EchoServers() as echo:
        given = values(servers=servers(echo))
        front = start(TUNNELS.rstrip()[:-1] + sites.replace("{{", "{").replace("}}", "}") + "}", values=given)
        (pid,) = front.children()
        with Crowd(front.port()) as crowd:
            opened_all(crowd.open(200, "/"), 200)
            crowd.forget()
            for number in (1, 2):
                reload(front, number=number)
            assert answers(front, 2, target="/number")
            time.sleep(1.5)
            told = crowd.settle()
            unharmed(told, 200)
            in_time(told)
            assert front.children() == {pid}


def test_a_new_tunnel_goes_where_the_fewest_live_ones_are(start) -> None:
    with EchoServers(3) as echo:
        first, second, third = echo.ports
        given = values(balance="least_conn;", servers=f"server 127.0.0.1:{first}; server 127.0.0.1:{second};")
        front = start(TUNNELS, values=given)
        with Crowd(front.port(), interval=1.0) as crowd:
            crowd.open(30, "/")
            eventually(lambda: echo.report().live == [15, 15, 0])
            reload(front, servers=servers(echo))
            crowd.open(15, "/")
            eventually(lambda: echo.report().live == [15, 15, 15])
            reload(front, servers=f"server 127.0.0.1:{second}; server 127.0.0.1:{third} weight=3;")
            crowd.open(20, "/")
            eventually(lambda: echo.report().live == [15, 15, 35], why=str(echo.report()))
            unharmed(crowd.settle(), 65)


def test_a_limit_counts_the_tunnels_of_before(start) -> None:
    with EchoServers() as echo:
        server = f"server 127.0.0.1:{echo.port}"
        front = start(TUNNELS, values=values(servers=f"{server} max_conns=5;"))
        with Crowd(front.port(), interval=1.0) as crowd:
            crowd.open(5, "/")
            reload(front, servers=f"{server} max_conns=6;", balance="zone app 64k;")
            told = crowd.open(3, "/")
            assert (told.open, sum(told.refused.values())) == (6, 2)
            crowd.leave(6)
            reload(front, balance="")
            eventually(lambda: crowd.open(1, "/").open > 0)
            assert crowd.open(8, "/").open == 6


def test_the_tunnels_of_a_removed_location_and_address_go_on(start) -> None:
    with EchoServers() as echo:
        text = TUNNELS.replace("location / {", "listen 127.0.0.1:{port:other}; location /chat {")
        front = start(text, values=values(servers=servers(echo)))
        with Crowd(front.port("other")) as crowd:
            opened_all(crowd.open(10, "/chat"), 10)
            front.template = NUMBER
            reload(front)
            eventually(lambda: refused(front, "other"))
            time.sleep(0.5)
            unharmed(crowd.settle(), 10)


# Requests and connections


def test_a_kept_connection_goes_on_by_the_new_configuration(start) -> None:
    front = start(NUMBER, values=values(number="one"))
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    with front.client() as client:
        assert client.send(request).response("GET").text == "one"
        reload(front, number="two")
        time.sleep(0.3)
        assert client.send(request).response("GET").text == "two"
        reload(front, number="three")
        assert client.send(request).response("GET").text == "three"


def test_a_request_under_way_ends_as_it_began(start, raw_backend) -> None:
    changed = threading.Event()
    slow = raw_backend([until(changed), b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow"])
    text = NUMBER.replace(
        "location / {",
        "location /slow { proxy_pass http://127.0.0.1:{port:slow}; add_header X-Plan {value:number}; } location / {",
    )
    front = start(text, ports={"slow": slow.port}, values=values(number="one"))
    with front.client() as client:
        client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: slow.conversations)
        reload(front, number="two")
        changed.set()
        answer = client.response("GET")
        assert (answer.text, answer.header("x-plan")) == ("slow", "one")
        answer = client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").response("GET")
        assert answer.text == "two"


def test_a_connection_to_an_address_that_is_gone_ends(start) -> None:
    text = NUMBER.replace("location", "listen 127.0.0.1:{port:other}; location")
    front = start(text, values=values(number="one"))
    with front.client("other") as client, front.client("other") as fresh:
        assert client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").response("GET").text == "one"
        front.template = NUMBER
        reload(front, number="two")
        assert client.socket.recv(1) == b""
        assert fresh.socket.recv(1) == b""
        assert refused(front, "other")
        assert answers(front, "two")


def test_kept_backend_connections_stay(start, http_backend) -> None:
    text = """
        worker_processes {value:workers};
        http {
            upstream app { server 127.0.0.1:{port:api}; keepalive 4; }
            server {
                listen 127.0.0.1:{port:front};
                location / {
                    proxy_pass http://app;
                    proxy_http_version 1.1;
                    proxy_set_header Connection "";
                    add_header X-Connections $upstream_connect_time;
                    add_header X-Plan {value:number};
                }
            }
        }
        """
    front = start(text, ports={"api": http_backend.port}, values=values(number="one"))
    peers = lambda: {  # noqa: E731
        line.split()[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[2].endswith(f":{http_backend.port:04X}") and line.split()[3] == "01"
    }
    assert front.get("/").status == 200
    (before,) = peers()
    reload(front, number="two")
    assert front.get("/").header("x-plan") == "two"
    assert peers() == {before}


# Addresses and workers


def test_addresses_come_and_go_at_once(start) -> None:
    front = start(NUMBER, values=values(number="one", workers=2))
    front.template = NUMBER.replace("location", "listen 127.0.0.1:{port:other}; location")
    reload(front, number="two")
    for _ in range(10):
        assert answers(front, "two", "other") and answers(front, "two")
    front.template = NUMBER
    reload(front, number="three")
    assert refused(front, "other")
    assert answers(front, "three")


def test_who_waits_in_the_queue_of_an_address_that_goes_is_served(start) -> None:
    text = NUMBER.replace("location", "listen 127.0.0.1:{port:other}; location")
    front = start(text, values=values(number="one"))
    (pid,) = front.children()
    os.kill(pid, signal.SIGSTOP)
    try:
        with front.client("other") as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            front.template = NUMBER
            front.values["number"] = "two"
            front.configure(NUMBER)
            front.send_signal(signal.SIGHUP)
            time.sleep(0.5)
            os.kill(pid, signal.SIGCONT)
            assert client.response("GET").text == "one"
            assert client.socket.recv(1) == b""
    finally:
        os.kill(pid, signal.SIGCONT)


def test_workers_are_added_and_taken_away_with_their_tunnels(start) -> None:
    with EchoServers() as echo:
        front = start(TUNNELS, values=values(servers=servers(echo), workers=2))
        first = front.children()
        with Crowd(front.port()) as crowd:
            opened_all(crowd.open(60, "/"), 60)
            reload(front, workers=4)
            eventually(lambda: len(front.children()) == 4)
            assert first < front.children()
            opened_all(crowd.open(60, "/"), 120)
            reload(front, workers=1)
            eventually(lambda: len(front.children()) == 1, why=front.error_log()[-3000:])
            assert front.children() < first
            time.sleep(0.5)
            unharmed(crowd.settle(), 120)


def test_reuseport_sockets_follow_the_number_of_workers(start) -> None:
    text = NUMBER.replace("{port:front};", "{port:front} reuseport;")
    front = start(text, values=values(workers=2))
    listening = lambda: Path("/proc/net/tcp").read_text().count(f"0100007F:{front.port():04X} 00000000:0000 0A")  # noqa: E731
    for workers in (3, 1, 2):
        reload(front, workers=workers, number=workers)
        eventually(lambda workers=workers: listening() == workers, why=f"{workers} sockets")
        eventually(lambda workers=workers: len(front.children()) == workers)
        for _ in range(20):
            assert answers(front, workers)


def test_limits_and_environment_are_those_of_the_new_configuration(start) -> None:
    text = "worker_rlimit_nofile {value:files}; {value:more}" + NUMBER
    front = start(text, values=values(files=1000, more=""))
    (pid,) = front.children()
    reload(front, files=2000, more="worker_priority 5; working_directory {dir}/logs; env NEW=thing;".replace(
        "{dir}", str(front.directory)
    ))
    # Root may raise the limits of a process; where it may not, another one is started.
    limited = lambda each: re.search(r"Max open files\s+2000\s+2000", Path(f"/proc/{each}/limits").read_text())  # noqa: E731
    eventually(lambda: len(front.children()) == 1 and all(map(limited, front.children())))
    (after,) = front.children()
    assert after == pid or "only a new one can have these limits" in front.error_log()
    pid = after
    assert Path(f"/proc/{pid}/cwd").readlink() == front.directory / "logs"
    assert os.getpriority(os.PRIO_PROCESS, pid) == 5


def test_another_user_takes_other_workers(start) -> None:
    if os.geteuid():
        pytest.skip("only root may change its user")
    front = start("user {value:user};" + NUMBER, values=values(user="root"))
    (pid,) = front.children()
    reload(front, user=f"nobody {grp.getgrgid(pwd.getpwnam('nobody').pw_gid).gr_name}", number="two")
    eventually(lambda: len(front.children()) == 1 and pid not in front.children())
    front.logged("the user has changed, which takes new workers", name="error.log")
    assert answers(front, "two")


# What goes wrong


def test_a_broken_configuration_changes_nothing(start) -> None:
    front = start(NUMBER, values=values(number="one"))
    front.expect = ("unexpected", "cannot load")
    children = front.children()
    front.configure(NUMBER.rstrip()[:-1])
    front.send_signal(signal.SIGHUP)
    front.logged("the old one stays in force", name="error.log")
    front.logged(r"\[emerg\] .*unexpected end of file", name="error.log")
    assert answers(front, "one")
    assert front.children() == children
    reload(front, number="two")
    assert answers(front, "two")


def test_a_directory_that_workers_can_not_enter_changes_nothing(start) -> None:
    text = "{value:place}" + NUMBER
    if not os.geteuid():
        text = f"user nobody {grp.getgrgid(pwd.getpwnam('nobody').pw_gid).gr_name};{text}"
    front = start(text, values=values(number="one", workers=2, place=""))
    front.expect = ("working_directory",)
    children = front.children()
    (front.directory / "secret").mkdir(mode=0o700 if not os.geteuid() else 0)
    (front.directory / "file").touch()
    for count, name in enumerate(("none", "file", "secret"), 1):
        front.values.update(place=f"working_directory {front.directory / name};", number="two")
        front.configure(front.template)
        front.send_signal(signal.SIGHUP)
        eventually(lambda count=count: front.error_log().count("the old one stays in force") == count)
        front.logged(rf'chdir\("[^"]*/{name}"\).* failed \(\d+: .*working_directory', name="error.log")
        assert front.children() == children
        assert answers(front, "one")
    reload(front, place="working_directory /;")
    assert answers(front, "two")
    assert front.children() == children


def test_many_reloads_at_once_come_to_few(start) -> None:
    front = start(NUMBER, values=values(number="one"))
    front.values["number"] = 29
    front.configure(NUMBER)
    for _ in range(30):
        front.send_signal(signal.SIGHUP)
    eventually(lambda: answers(front, 29))
    assert len(front.children()) == 1


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM])
def test_nobody_begins_for_a_reload_that_the_end_overtakes(start, number: signal.Signals) -> None:
    """The worker goes as it was told, and does not answer: that is not the death of one that is to be replaced."""
    front = start(NUMBER, values=values(number="one"))
    front.expect = ("exited on signal 9",)  # where the machine has no time for it within that of a SIGTERM
    (pid,) = front.children()
    master = front.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        front.send_signal(signal.SIGHUP)
        front.logged("(?m)reconfiguring$", name="error.log")
        front.send_signal(number)
        front.logged(f"{number.name}\\) received", name="error.log")
    finally:
        os.kill(pid, signal.SIGCONT)
    front.logged(rf"(?m) {master}#{master}: exit$", name="error.log")
    assert front.error_log().count("start worker process ") == 1
    assert "in force" not in front.error_log()


def test_a_worker_that_does_not_answer_is_replaced(start, monkeypatch) -> None:
    """One that is stopped in the middle of a reload dies, as far as the master can see; here it really does."""
    front = start(NUMBER, values=values(number="one", workers=2))
    front.expect = ("exited on signal 9",)
    stuck = min(front.children())
    os.kill(stuck, signal.SIGSTOP)
    front.values["number"] = "two"
    front.configure(NUMBER)
    front.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    os.kill(stuck, signal.SIGKILL)
    eventually(lambda: stuck not in front.children() and len(front.children()) == 2)
    eventually(lambda: in_force(front) == 1)
    for _ in range(10):
        assert answers(front, "two")


def test_zones_that_are_new_are_shared(start) -> None:
    text = """
        worker_processes {value:workers};
        http {
            limit_req_zone $server_name zone={value:zone}:64k rate=1r/m;
            server {
                listen 127.0.0.1:{port:front};
                server_name limited.test;
                location / { return 200 {value:number}; }
                location /limited { limit_req zone={value:zone}; proxy_pass http://127.0.0.1:{port:api}; }
            }
        }
        """
    with socket.create_server(("127.0.0.1", 0)) as api:
        front = start(text, ports={"api": api.getsockname()[1]}, values=values(workers=4, zone="one"))
        front.expect = ("limiting requests", "timed out")
        for zone in ("two", "two", "three"):
            reload(front, zone=zone)
        # Each client comes to whichever worker; whoever is first uses the rate up for all.
        clients = [front.client() for _ in range(12)]
        for client in clients:
            client.send(b"GET /limited HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: front.access_log().count(" 503 ") == 11)
        for client in clients:
            client.close()


# Logs


def test_log_files_change_and_the_lines_of_tunnels_follow(start) -> None:
    text = TUNNELS.replace("server {\n            listen", "access_log {value:log}; server {\n            listen")
    with EchoServers() as echo:
        front = start(text, values=values(servers=servers(echo), log="first.log"))
        (pid,) = front.children()
        with Crowd(front.port(), interval=1.0) as crowd:
            crowd.open(2, "/a")
            (front.directory / "first.log").rename(front.directory / "first.old")
            reload(front, number=1)
            crowd.leave(1)
            front.logged("GET /a .* 101 ", name="first.log")
            assert front.access_log("first.old") == ""
            reload(front, log="second.log", number=2)
            assert answers(front, 2, target="/number")
            front.logged("GET /number ", name="second.log")
            crowd.leave(1)
            eventually(lambda: front.access_log("first.log").count("GET /a ") == 2)
        eventually(lambda: not any("first" in str(path) for path in opened(pid)))


def test_reopened_logs_are_the_masters(start) -> None:
    front = start(NUMBER, values=values())
    path = front.directory / "access.log"
    assert front.get("/before").status == 200
    front.logged("GET /before ")
    path.rename(front.directory / "old.log")
    front.send_signal(signal.SIGUSR1)
    eventually(path.exists)
    eventually(lambda: front.error_log().count("reopening logs") == 3)
    assert front.get("/after").status == 200
    front.logged("GET /after ")


def opened(pid: int) -> list[Path]:
    return [path.readlink() for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()]
