"""Logs of real processes: rotation, buffers at the end, and what is said about requests."""

import re
import signal
import socket
import time
from pathlib import Path

from websockets.sync.client import connect

from harness.waiting import eventually

SITE = """
    error_log error.log info;
    http {
        log_format brief '$request_method $uri $status';
        access_log access.log brief;
        server {
            listen 127.0.0.1:{port:front};
            server_name example.com;
            location / { return 200 one; }
            location /missing { root {dir}; }
            location /own { error_log own.log; root {dir}; }
            location /buffered { access_log buffered.log brief buffer=64k; return 200; }
            location /soon { access_log soon.log brief buffer=64k flush=2s; return 200; }
            location /ws {
                access_log tunnel.log combined;
                proxy_pass http://127.0.0.1:{port:api};
                proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection "upgrade";
            }
        }
    }
    """


def start(proxy, backend=None):
    return proxy(SITE, ports={"api": backend.port if backend else 1})


def test_rotation(proxy) -> None:
    front = start(proxy)
    front.get("/1")
    front.logged("GET /1 200")
    for name in ("access.log", "error.log"):
        (front.directory / name).rename(front.directory / f"{name}.1")
    front.get("/2")
    front.logged("GET /2 200", name="access.log.1")
    front.send_signal(signal.SIGUSR1)
    front.logged("reopening logs", name="error.log.1")
    eventually(lambda: (front.directory / "access.log").exists())

    def lands_in_the_new_file() -> bool:
        front.get("/3")
        return "GET /3 200" in front.access_log()

    eventually(lands_in_the_new_file)
    front.get("/missing")
    front.logged(r"missing\" failed \(2: No such file", name="error.log")
    assert "GET /1" not in front.access_log()


def test_buffer_is_written_at_every_end(proxy) -> None:
    front = start(proxy)
    for number in (signal.SIGUSR1, signal.SIGHUP):
        front.get("/buffered")
        before = front.access_log("buffered.log").count("\n")
        front.send_signal(number)
        eventually(lambda before=before: front.access_log("buffered.log").count("\n") == before + 1)
    time.sleep(0.3)
    front.get("/buffered")
    front.send_signal(signal.SIGTERM)
    assert front._process.wait(20) == 0
    assert front.access_log("buffered.log").count("GET /buffered 200") == 3


def test_buffer_is_written_in_time(proxy) -> None:
    front = start(proxy)
    front.get("/soon")
    assert front.access_log("soon.log") == ""
    front.logged("GET /soon 200", name="soon.log")


def test_line_about_a_request(proxy) -> None:
    front = start(proxy)
    front.get("/missing?q", {"Host": "example.com", "Referer": "http://a/"})
    found = front.logged(r"\[error\].*\n", name="error.log")[0]
    assert re.search(
        r'\[error\] (\d+)#\1: \*\d+ open\(\) "[^"]*/missing" failed \(2: No such file or directory\), '
        r'client: 127\.0\.0\.1, server: example\.com, request: "GET /missing\?q HTTP/1\.1", '
        r'host: "example\.com", referrer: "http://a/"\n',
        found,
    ), found


def test_log_of_a_location(proxy) -> None:
    front = start(proxy)
    front.get("/own")
    front.logged(r"\[error\].*/own", name="own.log")
    assert "/own" not in front.error_log()


def test_control_characters_are_not_for_terminals(proxy) -> None:
    front = start(proxy)
    with front.client() as client:
        client.send(b"GET /missing HTTP/1.1\r\nHost: a\r\nReferer: \xc2\x9b2J\r\n\r\n")
        client.response("GET")
    front.logged(r'referrer: "\\xC2\\x9B2J"', name="error.log")


def test_tunnel_is_logged_once_at_its_end(proxy, ws_backend) -> None:
    front = start(proxy, ws_backend)
    with connect(front.url("/ws", "ws"), user_agent_header="tester") as client:
        client.send("hello")
        assert client.recv() == "hello"
        assert front.access_log("tunnel.log") == ""
    line = front.logged(r".*\n", name="tunnel.log")[0]
    found = re.fullmatch(r'127\.0\.0\.1 - - \[[^]]+\] "GET /ws HTTP/1\.1" 101 (\d+) "-" "tester"\n', line)
    assert found, line
    assert int(found[1]) >= 7


def test_access_log_to_syslog(proxy) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        text = SITE.replace("access_log access.log", f"access_log syslog:server={address},tag=web,nohostname")
        front = proxy(text, ports={"api": 1})
        front.get("/x")
        assert re.fullmatch(rb"<190>\w{3} [ \d]\d [\d:]{8} web: GET /x 200", server.recv(1000))


def test_what_python_prints_goes_to_the_error_log(proxy) -> None:
    front = start(proxy)
    for process in (front.pid, *front.children()):
        assert Path(f"/proc/{process}/fd/2").readlink() == front.directory / "error.log"
