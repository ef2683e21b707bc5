"""Syslog: datagrams as nginx sends them."""

import os
import re
import socket

import pytest

from penstock.observe.errorlog import DEBUG, WARN, ErrorLog, SyslogSink, set_fallback
from penstock.observe.syslog import parse_syslog


@pytest.fixture
def server():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(3)
        yield sock


def address(sock) -> str:
    return f"127.0.0.1:{sock.getsockname()[1]}"


def test_line_to_a_server(server) -> None:
    parse_syslog(f"syslog:server={address(server)}").line(b"words\n")
    data = server.recv(1000).decode()
    host = re.escape(os.uname().nodename)
    assert re.fullmatch(rf"<190>[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d {host} nginx: words", data)


def test_parameters(server) -> None:
    text = f"syslog:server={address(server)},facility=user,severity=alert,tag=a_B9,nohostname"
    parse_syslog(text).line(b"words\n")
    assert re.fullmatch(rb"<9>\w{3} [ \d]\d [\d:]{8} a_B9: words", server.recv(1000))


def test_error_log_gives_its_level_as_severity(server) -> None:
    log = ErrorLog([SyslogSink(parse_syslog(f"syslog:server={address(server)}"), DEBUG)])
    log.write(WARN, "careful")
    data = server.recv(1000)
    assert data.startswith(b"<188>")
    assert data.endswith(b": careful")


def test_unix_socket(tmp_path) -> None:
    path = f"{tmp_path}/log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        parse_syslog(f"syslog:server=unix:{path},nohostname").line(b"x\n")
        assert sock.recv(100).endswith(b" nginx: x")


def test_server_that_comes_back_is_found_again(server) -> None:
    said: list[bytes] = []
    sink = type("Sink", (), {"level": 8, "write": lambda self, line, level: said.append(line)})()
    set_fallback(ErrorLog([sink]))
    port = server.getsockname()[1]
    server.close()
    log = parse_syslog(f"syslog:server=127.0.0.1:{port},nohostname")
    for _ in range(3):
        log.line(b"lost\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", port))
        again.settimeout(3)
        log.line(b"heard\n")
        assert again.recv(100).endswith(b"heard")
    assert len(said) <= 1, "failures are said once a minute"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("syslog:", 'unknown syslog parameter ""'),
        ("syslog:facility=user", "no syslog server specified"),
        ("syslog:server=127.0.0.1,server=127.0.0.2", 'duplicate syslog "server"'),
        ("syslog:server=127.0.0.1,facility=nobody", 'unknown syslog facility "nobody"'),
        ("syslog:server=127.0.0.1,severity=err", 'unknown syslog severity "err"'),
        ("syslog:server=127.0.0.1,tag=a-b", 'syslog "tag" only allows alphanumeric characters and underscore'),
        ("syslog:server=127.0.0.1,tag=" + "a" * 33, "syslog tag length exceeds 32"),
        ("syslog:server=127.0.0.1,colour=red", 'unknown syslog parameter "colour=red"'),
        ("syslog:server=127.0.0.1:99999", 'invalid port in syslog server "127.0.0.1:99999"'),
    ],
)
def test_mistakes_are_named_as_nginx_names_them(text, words) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        parse_syslog(text)


def test_default_port() -> None:
    assert parse_syslog("syslog:server=127.0.0.1")._address.port == 514
