"""The error log: who hears what, and what stands in a line."""

import os
import re
from types import SimpleNamespace

import pytest

from penstock.observe import errorlog
from penstock.observe.errorlog import (
    ALERT,
    DEBUG,
    EMERG,
    ERROR,
    INFO,
    LONGEST,
    NOTICE,
    WARN,
    DescriptorSink,
    ErrorLog,
    FileSink,
    Subject,
    report,
    set_fallback,
    use_console,
)
from penstock.observe.files import LogFile


class Sink:
    """Keeps its lines."""

    def __init__(self, level: int = DEBUG) -> None:
        self.level = level
        self.lines: list[bytes] = []

    def write(self, line: bytes, level: int) -> None:
        self.lines.append(line)


@pytest.fixture
def process_log():
    sink = Sink()
    set_fallback(ErrorLog([sink]))
    return sink


def connection(log: ErrorLog | None, **more):
    location = SimpleNamespace(error_log=log)
    server = SimpleNamespace(name="example.com", root=location)
    listen = SimpleNamespace(address=("0.0.0.0", 80))
    return SimpleNamespace(number=5, client_address="10.0.0.1", server=server, listen=listen, **more)


def request(log: ErrorLog | None, *, line="GET /x HTTP/1.1", fields=None, parent=None, upstream_url=""):
    client = connection(None)
    return SimpleNamespace(
        connection=client,
        server=client.server,
        location=SimpleNamespace(error_log=log),
        head=SimpleNamespace(line=line, fields=fields or {}),
        parent=parent,
        uri="/sub",
        upstream_url=upstream_url,
    )


def test_line_has_nginx_form(process_log) -> None:
    report(None, ERROR, "message")
    pid = os.getpid()
    assert re.fullmatch(
        rf"\d{{4}}/\d\d/\d\d \d\d:\d\d:\d\d \[error\] {pid}#{pid}: message\n", process_log.lines[0].decode()
    )


def test_request_is_described_as_nginx_does(process_log) -> None:
    fields = {"host": "example.com", "referer": "http://a/"}
    report(request(None, fields=fields, upstream_url="http://127.0.0.1:1/u", parent=object()), WARN, "words")
    assert process_log.lines[0].decode().partition("#")[2].partition(": ")[2] == (
        '*5 words, client: 10.0.0.1, server: example.com, request: "GET /x HTTP/1.1", subrequest: "/sub", '
        'upstream: "http://127.0.0.1:1/u", host: "example.com", referrer: "http://a/"\n'
    )


def test_connection_is_described_by_where_it_came_in(process_log) -> None:
    report(connection(None), INFO, "words")
    assert process_log.lines[0].endswith(b": *5 words, client: 10.0.0.1, server: 0.0.0.0:80\n")
    other = connection(None)
    for address, shown in (("/run/x", b"unix:/run/x"), (("::1", 8080), b"[::1]:8080")):
        other.listen = SimpleNamespace(address=address)
        report(other, INFO, "words")
        assert process_log.lines[-1].endswith(b"server: " + shown + b"\n")


def test_log_of_the_location_replaces_the_process_log(process_log) -> None:
    own = Sink()
    report(request(ErrorLog([own])), ERROR, "here")
    assert (len(own.lines), len(process_log.lines)) == (1, 0)


def test_each_sink_has_its_level() -> None:
    quiet, talkative = Sink(ERROR), Sink(INFO)
    log = ErrorLog([quiet, talkative])
    assert log.level == INFO
    for level in (EMERG, ALERT, ERROR, WARN, INFO, DEBUG):
        log.write(level, "x")
    assert (len(quiet.lines), len(talkative.lines)) == (3, 5)


def test_control_characters_never_reach_a_terminal(process_log) -> None:
    report(request(None, line="GET /\x1b[2J\r\n\x7f HTTP/1.1"), INFO, "a\tb\xc2\x9bc\xc3\xa9")
    line = process_log.lines[0]
    assert rb"a\x09b\xC2\x9Bc" in line
    assert b"\xc3\xa9" in line, "UTF-8 stays readable"
    assert rb'"GET /\x1B[2J\x0D\x0A\x7F HTTP/1.1"' in line
    assert line.count(b"\n") == 1


def test_line_is_bounded(process_log) -> None:
    report(None, ERROR, "x" * 5000)
    assert len(process_log.lines[0]) == LONGEST
    assert process_log.lines[0].endswith(b"x\n")


def test_subject_outlives_its_request(process_log) -> None:
    own = Sink()
    kept = Subject(request(ErrorLog([own])))
    report(kept, WARN, "later")
    assert b'*5 later, client: 10.0.0.1, server: example.com, request: "GET /x HTTP/1.1"' in own.lines[0]
    report(Subject(request(None)), WARN, "later")
    assert len(process_log.lines) == 1


def test_console_hears_warnings_once(process_log, capfd) -> None:
    use_console("penstock")
    try:
        report(None, NOTICE, "all is well")
        report(None, WARN, "look \xc3\xa9\x07")
        set_fallback(ErrorLog([DescriptorSink(2, NOTICE)]))
        report(None, EMERG, "the end")
    finally:
        use_console(None)
    seen = capfd.readouterr().err
    assert "all is well" not in seen
    assert "penstock: [warn] look \xe9\\x07\n" in seen
    assert seen.count("the end") == 1
    assert "[emerg]" in seen


def test_full_disk_and_closed_descriptor_stop_nobody(tmp_path) -> None:
    file = LogFile("/dev/full")
    file.open()
    FileSink(file, DEBUG).write(b"x\n", ERROR)
    DescriptorSink(9999, DEBUG).write(b"x\n", ERROR)


def test_levels_are_nginx_numbers() -> None:
    assert [errorlog.LEVELS.index(name) for name in ("emerg", "error", "debug")] == [1, 4, 8]


def test_a_mistake_that_nobody_has_raised_has_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr("penstock.observe.errorlog.report", lambda subject, level, message: logged.append(message))
    errorlog.report_mistake(None, ZeroDivisionError("ours"))
    assert logged == ["internal error: ZeroDivisionError('ours')", "ZeroDivisionError: ours | "]
