"""`-T --compiled`: the way through each location, and the generated functions, as Python that nobody runs."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.site import compiled
from penstock.cli.compiled import compiled_text
from penstock.cli.main import main
from penstock.modules.proxy.head import HeadTemplate, SetHeader
from penstock.modules.release import release
from penstock.observe import errorlog
from penstock.observe.formats import Format

SITE = """
    events { }
    http {
        log_format mine '$remote_addr "it\\'s {$status}"';
        access_log access.log mine;
        upstream app { server 127.0.0.1:3000; }
        server {
            listen 127.0.0.1:18;
            server_name a.example;
            location / { proxy_pass http://app; allow all; add_header A b;
                         proxy_set_header X-Who "'{}\\"$remote_addr"; }
            location /one { websocket auto; proxy_pass http://app; }
            location /two { websocket auto; proxy_pass http://app; access_log off; }
            location /asked { auth_basic hm; auth_basic_user_file users; proxy_pass http://app; }
            location @named { return 200; }
        }
        server { listen 127.0.0.1:18; server_name b.example; return 204; }
        proxy_cache_path kept keys_zone=kept:1m;
        server { listen 127.0.0.1:18; server_name c; location /kept { proxy_pass http://app; proxy_cache kept; } }
    }
"""


@pytest.fixture
def text(tmp_path: Path) -> str:
    """What is told of the site, of whose plan is left what a worker has."""
    (tmp_path / "users").write_text("me:{PLAIN}opensesame\n")
    plan = compiled(SITE, tmp_path)
    release(plan)
    return compiled_text(plan)


def part(text: str, begin: str) -> str:
    """From the line that begins so to the next empty one."""
    return text[text.index(f"\n{begin}") :].strip().partition("\n\n")[0]


def test_a_location_with_a_cache_is_straight_for_what_is_kept(text: str) -> None:
    told = part(text, "# location /kept")
    assert "): straight, " in told.splitlines()[0]
    assert "given out of the cache (" in told and "head_" not in told


def test_it_is_python_with_a_function_for_each_head_and_line(text: str) -> None:
    names = [each.name for each in ast.parse(text).body if isinstance(each, ast.FunctionDef)]
    assert names == ["head_1", "head_2", "head_2_other", "line_1"]


def test_a_straight_location(text: str) -> None:
    found = part(text, "# location / ")
    assert "penstock.conf:10): straight" in found.splitlines()[0]
    for line in (
        "#     asked first    allow",
        "#     answer         changed by add_header",
        "    line0 = value0(request)  # '\\'{}\"$remote_addr'",
    ):
        assert line in found.splitlines()
    assert "#     passed to      http://app (" in found and "#     logged by      line_1, to /" in found
    assert "Upgrade: websocket\\r\\nConnection: Upgrade" in part(text, "def head_2_other")


def test_functions_that_are_alike_are_written_once(text: str) -> None:
    assert "#     head by        head_2, above" in part(text, "# location /two")
    assert "logged" not in part(text, "# location /two")


def test_a_location_without_a_straight_way_says_why(text: str) -> None:
    found = part(text, "# location /asked").splitlines()
    assert found[0].endswith(": general")
    assert "#     auth_basic may have to wait (" in found[1] and found[1].endswith("penstock.conf:14)")
    assert "#     it has a name: requests come here" in part(text, "# location @named")
    assert "#     general: it has no location" in part(text, "# server b.example")


def test_a_line_of_a_log_reads_like_its_format(text: str) -> None:
    found = part(text, "def line_1")
    assert "v0 = request.connection.client_address  # $remote_addr" in found
    assert """return f'{v0} "it\\'s {{{v1}}}"\\n'.encode(""" in found


def test_nothing_is_shown_that_the_configuration_does_not_say(text: str) -> None:
    assert "opensesame" not in text


def test_an_address_with_tls(tmp_path: Path) -> None:
    plan = compiled(SITE.replace("listen 127.0.0.1:18;", "listen 127.0.0.1:18 proxy_protocol;"), tmp_path)
    assert "#     127.0.0.1:18: the first request of a connection may take the general way" in compiled_text(plan)


def test_a_line_break_in_a_name_begins_no_line(tmp_path: Path) -> None:
    text = 'events { } http { server { listen 127.0.0.1:18; location "/a\nimport os" { return 200; } } }'
    told = compiled_text(compiled(text, tmp_path))
    assert [type(each) for each in ast.parse(told).body] == [ast.FunctionDef], "the line of the default log alone"
    assert r"/a\nimport os" in told


ANY = st.text(st.characters(max_codepoint=255))


@given(ANY)
def test_any_text_of_a_format_is_written_as_it_is(text: str) -> None:
    form = Format([text], [])
    known: dict[str, object] = {}
    exec(form.source("made"), known)
    assert known["made"](None) == form.line(None)  # type: ignore[operator, arg-type]


@given(ANY)
def test_a_head_with_any_text_is_python(text: str) -> None:
    from penstock.config.variables import Template

    literal, varied = Template(text, None, (text,), ()), Template(text, None, (text, None), ("a",))
    headers = (SetHeader("X-A", literal, False), SetHeader("X-B", varied, False), SetHeader("Host", varied, False))
    tree = ast.parse(HeadTemplate(headers, 11, pass_headers=True).source(text, {}, "head_1"))
    assert len(tree.body) == 1


def test_with_dump_only(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = errorlog.fallback()
    try:
        user = "user root;" if os.geteuid() == 0 else ""
        (tmp_path / "nginx.conf").write_text(f"{user} pid pid; events {{ }} http {{ access_log off; }}")
        places = ("-p", str(tmp_path), "-c", "nginx.conf", "-e", "error.log")
        assert main([*places, "-T", "--compiled"]) == 0
        said = capfd.readouterr().out
        assert said.startswith("# configuration file ") and "\n# compiled: the way of requests" in said
        assert main([*places, "-t", "--compiled"]) == 1
        assert 'option "--compiled" belongs to -T' in capfd.readouterr().err
    finally:
        errorlog.set_fallback(before)
        errorlog.use_console(None)
