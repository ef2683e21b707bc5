"""access_log, log_format, error_log: what is accepted, what is in force where."""

from types import SimpleNamespace

import pytest

from harness.site import Site, compiled, mistakes
from penstock.config.errors import ConfigFailed
from penstock.modules.core.error_log import FILES, ErrorLogs
from penstock.modules.load import known
from penstock.modules.logs.log import AccessLogs
from penstock.observe.errorlog import DEBUG, ERROR, INFO, DescriptorSink, FileSink, SyslogSink
from penstock.plan.location import INNER_LOCATIONS, LOCATIONS

known()


def plan_of(text: str, folder):
    return compiled(f"events {{ }} {text}", folder)


def location(plan, *names: str):
    server = plan.servers[0]
    found = server.root
    for name in names:
        inner = [each for key in (LOCATIONS, INNER_LOCATIONS) for each in found.scope.data.get(key) or []]
        found = next(each for each in inner if each.name == name)
    return found


def paths(found) -> list[str]:
    return [log.target.path.rpartition("/")[2] for log in found[AccessLogs].logs]


# access_log


def test_innermost_level_with_logs_decides(tmp_path) -> None:
    plan = plan_of(
        """
        http {
            access_log a;
            access_log b;
            server {
                location /outer { access_log c; location /outer/off { access_log off; } location /outer/in { } }
                location /plain { }
            }
        }
        """,
        tmp_path,
    )
    assert paths(location(plan)) == ["a", "b"]
    assert paths(location(plan, "/plain")) == ["a", "b"]
    assert paths(location(plan, "/outer", "/outer/in")) == ["c"]
    assert paths(location(plan, "/outer", "/outer/off")) == []


def test_default_log_is_opened_only_where_it_is_wanted(tmp_path) -> None:
    needs = plan_of("http { server { location / { access_log off; } } }", tmp_path)
    assert paths(location(needs)) == ["access.log"]
    assert [file.path for file in needs.shared[FILES]] == [f"{tmp_path}/logs/access.log"]
    without = plan_of("http { server { access_log a; } }", tmp_path)
    assert [file.path for file in without.shared[FILES]] == [f"{tmp_path}/a"]
    empty = plan_of("http { }", tmp_path)
    assert not list(empty.shared.get(FILES) or ())


def test_uses_of_one_file_share_its_buffer(tmp_path) -> None:
    text = "server { access_log a combined buffer=4k flush=5s; location /b { access_log a combined buffer=4k %s; } }"
    assert mistakes(text % "flush=5s", tmp_path) == []
    assert mistakes(text % "flush=6s", tmp_path) == ['access_log "a" already defined with conflicting parameters']


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("access_log off combined;", 'invalid parameter "combined"'),
        ("access_log a main;", 'unknown log format "main"'),
        ("access_log a combined buffer=0;", 'invalid buffer size "0"'),
        ("access_log a combined buffer=x;", 'invalid buffer size "x"'),
        ("access_log a combined flush=0 buffer=1k;", 'invalid flush time "0"'),
        ("access_log a combined flush=1s;", 'no buffer is defined for access_log "a"'),
        ("access_log a combined gzip=10;", 'invalid compression level "10"'),
        ("access_log a combined gzip=;", 'invalid compression level ""'),
        ("access_log a combined colour=red;", 'invalid parameter "colour=red"'),
        ("access_log $host combined buffer=1k;", "buffered logs cannot have variables in name"),
        ("access_log syslog:server=127.0.0.1 combined buffer=1k;", "logs to syslog cannot be buffered"),
        ("access_log syslog:tag=x;", "no syslog server specified"),
        ("log_format a $nothing; access_log x a;", 'unknown "nothing" variable'),
        ("log_format combined $uri;", 'duplicate "log_format" name "combined"'),
        ("log_format a escape=xml $uri;", 'unknown log format escaping "xml"'),
        ("open_log_file_cache min_uses=2;", '"open_log_file_cache" must have "max" parameter'),
        ("open_log_file_cache max=x;", 'invalid "open_log_file_cache" parameter "max=x"'),
    ],
)
def test_mistakes_are_named_as_nginx_names_them(tmp_path, line, words) -> None:
    assert mistakes(f"{line} server {{ }}", tmp_path) == [words]


def test_format_stands_above_its_use_and_has_any_case(tmp_path) -> None:
    assert mistakes("log_format Main $uri; access_log a MAIN; server { }", tmp_path) == []
    (message,) = mistakes("access_log a main; log_format main $uri; server { }", tmp_path)
    assert message == 'unknown log format "main"'


def test_words_of_a_format_are_joined(tmp_path) -> None:
    site = Site("log_format a escape=none '[$uri]' '$args' x; server { access_log log a; }", tmp_path)
    site.plan.shared[FILES].open()
    request = site.request("/p?q")
    for log in location(site.plan)[AccessLogs].logs:
        log.write(request)
    assert (tmp_path / "log").read_text() == "[/p]qx\n"


@pytest.mark.parametrize(("argument", "logged"), [("", False), ("0", False), ("00", True), ("1", True)])
def test_condition(tmp_path, argument, logged) -> None:
    site = Site("log_format a $uri; server { access_log log a if=$arg_if; }", tmp_path)
    site.plan.shared[FILES].open()
    settings = location(site.plan)[AccessLogs]
    request = site.request(f"/p?if={argument}")
    settings.write(request)
    assert (tmp_path / "log").read_text() == ("/p\n" if logged else "")
    assert len(settings.freeze(request)) == int(logged)


def test_frozen_lines_want_no_more_than_late_variables(tmp_path) -> None:
    form = '"$request" $status $bytes_sent $body_bytes_sent $request_time $request_length $connection'
    site = Site(f"log_format a '{form}'; server {{ access_log log a; }}", tmp_path)
    site.plan.shared[FILES].open()
    request = site.request("/p")
    request.status = 101
    lines = location(site.plan)[AccessLogs].freeze(request)
    late = SimpleNamespace(
        status=101, error_status=0, answer=None, bytes_sent=200, body_bytes_sent=50,
        request_length=90, started=10.0, finished=12.5,
    )  # fmt: skip
    for line in lines:
        line.write(late)
    assert (tmp_path / "log").read_text() == '"GET /p HTTP/1.1" 101 200 50 2.500 90 1\n'


def test_name_with_variables_wants_the_document_root(tmp_path) -> None:
    text = f"log_format a $uri; server {{ access_log log_$arg_n a; root {tmp_path}/$arg_r; }}"
    (tmp_path / "there").mkdir()
    site = Site(text, tmp_path)
    settings = location(site.plan)[AccessLogs]
    location(site.plan).error_log = site.log
    settings.write(site.request("/p?n=1&r=there"))
    settings.write(site.request("/p?n=2&r=gone"))
    assert (tmp_path / "log_1").read_text() == "/p\n"
    assert not (tmp_path / "log_2").exists()
    assert site.said() == [f'testing "{tmp_path}/gone" existence failed (2: No such file or directory)']


# error_log


def test_error_logs_of_a_level_replace_those_around(tmp_path) -> None:
    plan = plan_of(
        "error_log main; http { server { error_log a info; error_log b; location /x { error_log stderr debug; } } }",
        tmp_path,
    )
    assert [file.path for file in plan.main.settings(ErrorLogs).log.files] == [f"{tmp_path}/main"]
    server = location(plan).error_log
    assert [type(sink) for sink in server.sinks] == [FileSink, FileSink]
    assert [sink.level for sink in server.sinks] == [INFO, ERROR]
    assert [type(sink) for sink in location(plan, "/x").error_log.sinks] == [DescriptorSink]


def test_level_without_its_own_uses_the_process_log(tmp_path) -> None:
    plan = plan_of("http { server { location /x { } } }", tmp_path)
    assert location(plan, "/x").error_log is None
    assert plan.main.settings(ErrorLogs).log is None


def test_syslog_and_debug_levels(tmp_path) -> None:
    plan = plan_of("error_log syslog:server=127.0.0.1 debug_http debug_core; http { }", tmp_path)
    (sink,) = plan.main.settings(ErrorLogs).log.sinks
    assert isinstance(sink, SyslogSink)
    assert sink.level == DEBUG


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("error_log a loud;", 'invalid log level "loud"'),
        ("error_log a info warn;", 'duplicate log level "warn"'),
        ("error_log memory:32k;", "nginx was built without debug support"),
        ("error_log syslog:server=;", 'no host in syslog server ""'),
        ("error_log off;", '"error_log off" writes to a file that is called "off"'),
    ],
)
def test_mistakes_of_error_log(tmp_path, line, words) -> None:
    assert mistakes(f"{line} server {{ }}", tmp_path) == [words]


def test_mistakes_know_their_place(tmp_path) -> None:
    with pytest.raises(ConfigFailed) as caught:
        plan_of("http {\n access_log a main;\n server { } }", tmp_path)
    (problem,) = caught.value.problems
    assert problem.span is not None
    assert (problem.span.line, problem.span.text) == (2, "main")
    assert problem.hint is not None
