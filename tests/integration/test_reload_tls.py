"""Certificates that are renewed: by a reload, and by themselves (`ssl_certificate_watch`)."""

import grp
import os
import pwd
import shutil
import signal
import socket
import ssl
import time
from pathlib import Path

import pytest

from harness.crowd import Crowd, EchoServers
from harness.proxy import Proxy
from harness.waiting import eventually

pytestmark = pytest.mark.alone

SITE = """
    worker_processes 2;
    http {
        server {
            listen 127.0.0.1:{port:front} ssl;
            ssl_certificate site.crt;
            ssl_certificate_key site.key;
            ssl_certificate_watch {value:watch};
            location / { return 200 "{value:text}"; }
            location /chat {
                proxy_pass http://127.0.0.1:{port:echo};
                proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection upgrade;
            }
        }
    }
    """


def put(front: Proxy | Path, pair) -> None:
    """As certbot does it: other files under the same names."""
    folder = front if isinstance(front, Path) else front.directory
    for source, name in ((pair.certificate, "site.crt"), (pair.key, "site.key")):
        shutil.copy(source, folder / f"{name}.new")
        os.replace(folder / f"{name}.new", folder / name)  # noqa: PTH105


def shown(front: Proxy) -> bytes:
    """The certificate that a client sees."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", front.port()), 5) as plain, context.wrap_socket(plain) as secure:
        found = secure.getpeercert(True)
        assert found is not None
        return found


def der(pair) -> bytes:
    text = Path(pair.certificate).read_text()
    end = "-----END CERTIFICATE-----"
    return ssl.PEM_cert_to_DER_cert(text[: text.index(end) + len(end)] + "\n")


def started(proxy, pair, tmp_path, watch: str, **ports) -> Proxy:
    put(tmp_path, pair)
    front = proxy(SITE, values={"watch": watch, "text": "one"}, directory=tmp_path, ports={"echo": 1, **ports})
    eventually(lambda: len(front.children()) == 2)
    return front


def test_a_reload_shows_the_renewed_certificate_and_keeps_tunnels(proxy, authority, tmp_path) -> None:
    with EchoServers() as echo:
        first, second = authority.issue("one.test"), authority.issue("two.test")
        front = started(proxy, first, tmp_path, "off", echo=echo.port)
        with Crowd(front.port(), tls=True) as crowd:
            crowd.open(20, "/chat")
            assert shown(front) == der(first)
            workers = front.children()
            put(front, second)
            front.send_signal(signal.SIGHUP)
            for _ in range(8):
                eventually(lambda: shown(front) == der(second))
            assert front.children() == workers
            told = crowd.settle()
            assert told.unharmed(20), told


def test_a_watched_certificate_is_renewed_by_itself(proxy, authority, tmp_path) -> None:
    first, second, third = (authority.issue(f"{name}.test") for name in ("one", "two", "three"))
    front = started(proxy, first, tmp_path, "on")
    workers = front.children()
    # What else has been written meanwhile is for a reload that somebody asks for.
    front.values["text"] = "two"
    front.configure(SITE)
    put(front, second)
    eventually(lambda: shown(front) == der(second))
    assert b"one" in exchange(front)
    put(front, third)
    eventually(lambda: shown(front) == der(third))
    assert front.children() == workers
    assert b"one" in exchange(front)
    front.send_signal(signal.SIGHUP)
    eventually(lambda: b"two" in exchange(front))


def test_what_can_not_be_used_is_said_once_and_the_old_one_stays(proxy, authority, tmp_path) -> None:
    first, second = authority.issue("one.test"), authority.issue("two.test")
    front = started(proxy, first, tmp_path, "on")
    front.expect = ("SSL_CTX_use_PrivateKey",)
    shutil.copy(second.certificate, front.directory / "site.crt")
    front.logged(r"\[emerg\] .*SSL_CTX_use_PrivateKey", name="error.log")
    time.sleep(2.5)
    assert front.error_log().count("SSL_CTX_use_PrivateKey") == 1
    assert shown(front) == der(first)
    shutil.copy(second.key, front.directory / "site.key")
    eventually(lambda: shown(front) == der(second))


def test_clients_resume_at_any_worker_after_a_reload(proxy, authority, tmp_path) -> None:
    front = started(proxy, authority.issue("one.test"), tmp_path, "off")
    done = front.error_log().count("is in force")
    front.send_signal(signal.SIGHUP)
    eventually(lambda: front.error_log().count("is in force") > done)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    session = None
    reused = []
    for _ in range(24):
        with (
            socket.create_connection(("127.0.0.1", front.port()), 5) as plain,
            context.wrap_socket(plain, session=session) as secure,
        ):
            secure.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while secure.recv(4096):
                pass
            reused.append(secure.session_reused)
            session = session or secure.session
    assert all(reused[1:])


def exchange(front: Proxy) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", front.port()), 5) as plain, context.wrap_socket(plain) as secure:
        secure.sendall(b"GET / HTTP/1.0\r\n\r\n")
        found = b""
        while data := secure.recv(4096):
            found += data
        return found


def test_workers_that_may_read_nothing_take_everything_up(proxy, authority, tmp_path) -> None:
    """Keys, logs and the configuration itself are the master's alone."""
    if os.geteuid():
        pytest.skip("only root may change its user")
    group = grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name
    text = f"user nobody {group};" + SITE.replace("location / {", "access_log {value:log}; location / {").replace(
        "ssl_certificate_watch {value:watch};",
        "ssl_client_certificate ca.crt; ssl_verify_client optional; include more/*.conf;",
    )
    first, second = authority.issue("one.test"), authority.issue("two.test")
    put(tmp_path, first)
    shutil.copy(authority.certificate, tmp_path / "ca.crt")
    values = {"text": "one", "log": "logs/first.log"}
    files = {"more/a.conf": "add_header X-A a;"}
    front = proxy(text, values=values, directory=tmp_path, ports={"echo": 1}, files=files)
    eventually(lambda: len(front.children()) == 2)
    workers = front.children()
    for path in (tmp_path, tmp_path / "logs", tmp_path / "more"):
        path.chmod(0o700)
    (tmp_path / "site.key").chmod(0o600)
    assert b"one" in exchange(front)
    front.values.update(text="two", log="logs/second.log")
    put(front, second)
    front.write("more/b.conf", "add_header X-B b;")
    front.configure(text)
    front.send_signal(signal.SIGHUP)
    eventually(lambda: b"two" in exchange(front), why=front.error_log())
    assert b"X-B: b" in exchange(front)
    assert shown(front) == der(second)
    front.logged("GET / ", name="logs/second.log")
    assert front.children() == workers
    assert Path(f"/proc/{min(workers)}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    (tmp_path / "logs/second.log").rename(tmp_path / "logs/second.old")
    front.send_signal(signal.SIGUSR1)
    eventually((tmp_path / "logs/second.log").exists)
    eventually(lambda: front.error_log().count("reopening logs") == 4)
    exchange(front)
    front.logged("GET / ", name="logs/second.log")
