"""`penstock check` as a command: what is named, how it is said, what is written, the exit code."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.main import main
from penstock.doctor.rules import BY_ID

ROOT = Path(__file__).resolve().parents[4]
CORPUS = ROOT / "tests" / "corpus"
BAD = CORPUS / "rules" / "upgrade-missing" / "bad.conf"
FIXED = BAD.with_name("fixed.conf")
BROKEN = CORPUS / "configs" / "seeds" / "two-backends-broken.conf"


@pytest.fixture
def bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bad configuration, alone in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nginx.conf").write_bytes(BAD.read_bytes())
    return tmp_path / "nginx.conf"


def check(*arguments: str) -> int:
    return main(["check", *arguments])


def objects(capsys: Any, *arguments: str) -> Any:
    check(*arguments, "--format", "json", "--fail-on", "never")
    return json.loads(capsys.readouterr().out)


def test_exit_codes(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("nginx.conf") == 1
    assert check("-c", "nginx.conf", "--fail-on", "error") == 0
    assert check("nginx.conf", "--fail-on", "never") == 0
    bad.write_bytes(FIXED.read_bytes())
    assert check("nginx.conf", "--fail-on", "note") == 0
    for wrong in (["absent.conf"], ["a", "-c", "b"], ["--for", "apache"], ["--dry-run"], ["--level", "loud"]):
        assert check(*wrong) == 2, wrong
    assert 'can not read "absent.conf": No such file or directory' in capsys.readouterr().err


def test_the_configuration_that_would_run(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-p", str(bad.parent)]) == 1
    assert f"{bad}:9:13: warning: " in capsys.readouterr().out


def test_without_a_terminal_there_is_no_colour(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check("nginx.conf")
    plain = capsys.readouterr().out
    assert "\x1b" not in plain
    check("nginx.conf", "--color", "always")
    coloured = capsys.readouterr().out
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    from penstock.cli.colour import ink_for

    class Terminal:
        def isatty(self) -> bool:
            return True

    terminal: Any = Terminal()
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    assert ink_for(terminal).on
    monkeypatch.setenv("TERM", "dumb")
    assert not ink_for(terminal).on
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not ink_for(terminal).on
    assert ink_for(terminal, "always").on


def test_notes_are_counted_and_shown_when_asked_for(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad.write_bytes((CORPUS / "rules" / "timeout-default" / "bad.conf").read_bytes())
    bad.write_text(bad.read_text().replace("proxy_set_header Host $http_host;", ""))
    assert check("nginx.conf", "--level", "warning") == 0
    assert "nothing found (2 below that; --level note shows all)" in capsys.readouterr().out
    check("nginx.conf", "--level", "note")
    said = capsys.readouterr().out
    assert "[timeout-default]" in said
    assert "[host-missing]" in said


def test_that_silence_ends_tunnels_is_said_unasked(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The most common trouble of all is a note, for it may be meant so; it is shown all the same, and fails nothing."""
    bad.write_bytes((CORPUS / "rules" / "timeout-default" / "bad.conf").read_bytes())
    assert check("nginx.conf") == 0
    said = capsys.readouterr().out
    assert "end when neither side has sent anything for 60 s [timeout-default]" in said
    assert "--fix --level note can do it" in said
    assert "1 note" in said
    assert "nothing found" not in said
    before = bad.read_bytes()
    check("nginx.conf", "--fix")
    assert bad.read_bytes() == before, "nobody has asked for it"
    capsys.readouterr()
    assert objects(capsys, "nginx.conf")["findings"] == [], "a program says itself what it wants"


# --fix


def test_fix_shows_and_writes(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad.chmod(0o640)
    assert check("nginx.conf", "--fix", "--dry-run") == 0
    shown = capsys.readouterr()
    assert "+            proxy_set_header Upgrade $http_upgrade;\n" in shown.out
    assert "would be fixed [upgrade-missing]" in shown.err
    assert bad.read_bytes() == BAD.read_bytes()
    assert check("nginx.conf", "--fix") == 0
    assert bad.read_bytes() == FIXED.read_bytes()
    assert bad.stat().st_mode & 0o777 == 0o640
    assert list(bad.parent.iterdir()) == [bad]
    capsys.readouterr()
    assert check("nginx.conf", "--fix") == 0
    assert "@@" not in capsys.readouterr().out, "there is nothing left to do"


def test_fix_follows_includes_and_links(bad: Path) -> None:
    Path("conf.d").mkdir()
    Path("available").mkdir()
    http = BAD.read_text("utf-8")
    Path("available/shop").write_text(http[http.index("    server {") : http.rindex("}")])
    Path("conf.d/shop.conf").symlink_to("../available/shop")
    bad.write_text("events { }\nhttp {\n    include conf.d/*.conf;\n}\n")
    before = bad.read_bytes()
    assert check("nginx.conf", "--fix") == 0
    assert bad.read_bytes() == before
    assert Path("conf.d/shop.conf").is_symlink()
    text = Path("available/shop").read_text("utf-8")
    assert "proxy_set_header Upgrade $http_upgrade;" in text
    assert text.index("map $http_upgrade") < text.index("server {")


def test_a_location_alone_is_put_right(bad: Path) -> None:
    bad.write_text("location /ws {\n\tproxy_pass http://localhost:9000;\n}\n")
    assert check("nginx.conf", "--fix") == 0
    assert bad.read_text() == (
        "location /ws {\n\tproxy_pass http://localhost:9000;\n\tproxy_http_version 1.1;\n"
        '\tproxy_set_header Upgrade $http_upgrade;\n\tproxy_set_header Connection "upgrade";\n}\n'
    )


def test_all_on_one_line(bad: Path) -> None:
    bad.write_text("location /ws { proxy_pass http://localhost:9000; }\n")
    assert check("nginx.conf", "--fix") == 0
    assert bad.read_text() == (
        "location /ws { proxy_pass http://localhost:9000; proxy_http_version 1.1; "
        'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; }\n'
    )


def test_indented_as_the_rest(bad: Path) -> None:
    """By two spaces, or by tabs; nothing of it from us."""
    for step in ("  ", "\t"):
        bad.write_text(BAD.read_text("utf-8").replace("    ", step))
        assert check("nginx.conf", "--fix") == 0
        assert bad.read_text() == FIXED.read_text("utf-8").replace("    ", step)


def test_who_may_see_an_application_s_metrics_is_not_decided(
    bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad.write_text("server { listen 80; location /metrics { proxy_pass http://127.0.0.1:9000; } }\n")
    (finding,) = objects(capsys, "nginx.conf")["findings"]
    assert (finding["rule"], finding["fix"]) == ("status-public", None)


# The configurations people copy


def test_the_broken_seed_has_three_findings_at_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    found = objects(capsys, str(BROKEN))["findings"]
    assert [(each["rule"], each["line"]) for each in found] == [
        ("upstream-address", 2),
        ("map-lone-word", 9),
        ("upstream-unknown", 14),
    ]
    assert [each["line"] for each in found[0]["related"]] == [3], "the second address"


def test_the_broken_seed_is_put_right(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad.write_bytes(BROKEN.read_bytes())
    assert check("nginx.conf", "--fix") == 0
    wrong = ("192.168.3.1:3000", "192.168.3.2:300;", "close; }", "http://upstream")
    right = ("server 192.168.3.1:3000", "server 192.168.3.2:300;", "}", "http://backend")
    text = BROKEN.read_text("utf-8")
    for old, new in zip(wrong, right, strict=True):
        text = text.replace(old, new)
    assert bad.read_text("utf-8") == text


# For who stays with nginx


def test_what_penstock_refuses_does_not_concern_nginx(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = "load_module x.so;\nhttp {\n lua_shared_dict a 1m;\n perl_modules b;"
    bad.write_text(BAD.read_text("utf-8").replace("http {", more))
    rules = {each["rule"] for each in objects(capsys, "nginx.conf")["findings"]}
    assert rules == {"config", "upgrade-missing"}
    rules = {each["rule"] for each in objects(capsys, "nginx.conf", "--for", "nginx")["findings"]}
    assert rules == {"upgrade-missing"}


@pytest.mark.parametrize(
    ("target", "speaks"), [("penstock", False), ("nginx", True), ("nginx/1.24", True), ("nginx/1.29.7", False)]
)
def test_the_default_version_of_http(bad: Path, capsys: pytest.CaptureFixture[str], target: str, speaks: bool) -> None:
    text = FIXED.read_text("utf-8").replace("proxy_http_version 1.1;", "")
    bad.write_text(text)
    found = objects(capsys, "nginx.conf", "--for", target)["findings"]
    assert [each["rule"] for each in found] == (["upgrade-http-1.0"] if speaks else [])


def test_what_is_not_on_this_machine_is_a_note(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad.write_text(
        "events { }\nhttp {\n include /nowhere/mime.types;\n server { listen 443 ssl; ssl_certificate /nowhere/a;\n"
        " ssl_certificate_key /nowhere/b; location /ws { include /nowhere/p; proxy_pass http://app.invalid:1; } } }\n"
    )
    assert check("nginx.conf", "--level", "note") == 0
    said = capsys.readouterr().out
    assert said.count("[machine]") >= 3
    assert "upgrade-missing" not in said, "it may stand in the file that is not here"


# One map


@pytest.mark.parametrize(
    "lines",
    [
        "$http_upgrade $connection_upgrade { default upgrade; '' close; }",
        "$http_upgrade $connection_upgrade { default upgrade; }",
        "$http_upgrade $connection_upgrade { default Upgrade; '' Upgrade; }",
        "$http_upgrade $connection_upgrade { default close; '' upgrade; }",
        "$http_upgrade $connection_upgrade { default upgrad; '' close; }",
        "$http_upgrad $connection_upgrade { default upgrade; '' close; }",
        "$http_connection $connection_upgrade { ~*upgrade upgrade; default keep-alive; }",
        "$http_upgrade $Connection_Upgrade { default upgrade; '' ''; }",
    ],
)
@pytest.mark.parametrize("line", ["", "Connection $connection_upgrade;", "Connection '';"], ids=["none", "it", "empty"])
def test_no_second_map_is_added(bad: Path, lines: str, line: str) -> None:
    """The map that is there is used, and mended where it has to be."""
    header = f"proxy_set_header {line}" if line else ""
    bad.write_text(
        f"events {{ }}\nhttp {{\n    map {lines}\n    server {{\n        listen 8080;\n        location /ws/ {{\n"
        "            proxy_pass http://127.0.0.1:1;\n            proxy_set_header Upgrade $http_upgrade;\n"
        f"            {header}\n        }}\n    }}\n}}\n"
    )
    assert check("nginx.conf", "--fix") == 0
    assert bad.read_text().count("map $") == 1
    assert main(["explain", "-c", "nginx.conf", "ws://localhost:8080/ws/"]) == 0


def test_a_piece_uses_the_map_of_another_file(bad: Path) -> None:
    good = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;"
    text = "server {\n    location /a/ws { proxy_pass http://127.0.0.1:1; %s }\n    location /b/ws { %s }\n}\n"
    bad.write_text(text % (good, "proxy_pass http://127.0.0.1:1;"))
    assert check("nginx.conf", "--fix") == 0
    assert "map $http_upgrade" not in bad.read_text()
    assert bad.read_text().count("Connection $connection_upgrade;") == 2


def test_a_path_in_a_variable_is_no_part_of_the_host(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for tail in ("$request_uri", "$uri$is_args$args", "${request_uri}", "/$1"):
        bad.write_text(FIXED.read_text("utf-8").replace("127.0.0.1:3000", f"127.0.0.1:3000{tail}").replace(
            "proxy_set_header Host $http_host;", ""))  # fmt: skip
        (found,) = objects(capsys, "nginx.conf", "--level", "note")["findings"]
        assert found["rule"] == "host-missing"
        assert '"Host: 127.0.0.1:3000"' in found["message"]


# Standard input, patches, pages


def test_standard_input(bad: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def typed(text: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))

    typed(BAD.read_bytes())
    assert check("-") == 1
    assert "<stdin>:9:13: warning: " in capsys.readouterr().out
    typed(BAD.read_bytes())
    assert check("-c", "-", "--fix") == 0
    said = capsys.readouterr()
    assert said.out == FIXED.read_text("utf-8"), "the whole text, put right"
    assert "fixed [upgrade-missing]" in said.err
    assert "@@" in said.err
    typed(BAD.read_bytes())
    assert check("-", "--fix", "--format", "json") == 2, "both want standard output"
    assert list(bad.parent.iterdir()) == [bad]


@pytest.mark.parametrize("change", ["", "tabs", "crlf", "no newline", "latin-1"])
def test_a_dry_run_is_a_patch(bad: Path, change: str) -> None:
    """Standard output holds nothing else, and `patch` makes of the file what --fix would have."""
    text = BAD.read_bytes()
    text = text.replace(b"    ", b"\t") if change == "tabs" else text
    text = text.replace(b"\n", b"\r\n") if change == "crlf" else text
    text = text.removesuffix(b"\n") if change == "no newline" else text
    text = text.replace(b"# node", b"# n\xf6de") if change == "latin-1" else text
    bad.write_bytes(text)
    command = [sys.executable, "-m", "penstock", "check", "nginx.conf", "--fix"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    dry = subprocess.run([*command, "--dry-run"], capture_output=True, timeout=60, env=environment)
    assert bad.read_bytes() == text
    assert b"would be fixed" in dry.stderr
    subprocess.run(command, capture_output=True, timeout=60, env=environment)
    fixed = bad.read_bytes()
    assert fixed != text
    bad.write_bytes(text)
    patch = shutil.which("patch")
    if patch is None:
        pytest.skip("there is no patch")
    done = subprocess.run([patch, "--binary", "-p0"], input=dry.stdout, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout
    assert bad.read_bytes() == fixed


def test_the_page_of_a_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--explain", "upgrade-missing") == 0
    said = capsys.readouterr().out
    assert said.startswith("# upgrade-missing\n")
    assert "## What to do" in said
    assert check("--explain", "upgrade-mising") == 2
    assert "did you mean: upgrade-missing" in capsys.readouterr().err
    assert check("--explain", "config") == 0
    assert "not accepted" in capsys.readouterr().out


def test_each_rule_that_found_something_is_named_once_with_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    way = "proxy_pass http://127.0.0.1:9; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
    places = "".join(f"location /ws{number} {{ proxy_http_version 1.1; {way} }}" for number in range(3))
    Path("nginx.conf").write_text(f"events {{ }} http {{ server {{ {places} }} }}")
    assert check("nginx.conf", "--level", "note") == 0
    said = capsys.readouterr().out
    named = re.findall(r"^  penstock check --explain (\S+) +(.+)$", said, re.M)
    assert named == [(rule, BY_ID[rule].title) for rule in ("timeout-default", "host-missing", "connection-literal")]
    assert said.count("--explain") == 3
    assert check("--explain", named[1][0]) == 0


# Comments


@pytest.mark.parametrize(
    ("comment", "silent"),
    [
        ("            proxy_pass http://127.0.0.1:3000;   # penstock: ignore upgrade-missing later\n", True),
        ("            # penstock: ignore upgrade-missing, host-missing\n{}", True),
        ("            # penstock: ignore host-missing\n{}", False),
    ],
)
def test_comments(bad: Path, capsys: pytest.CaptureFixture[str], comment: str, silent: bool) -> None:
    line = "            proxy_pass http://127.0.0.1:3000;   # node\n"
    bad.write_text(BAD.read_text("utf-8").replace(line, comment.format(line)))
    found = objects(capsys, "nginx.conf")
    assert (found["findings"] == [], found["ignored"]) == (silent, int(silent))


def test_a_comment_above_a_block_is_about_all_in_it(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    comment = "    # penstock: ignore upgrade-missing\n"
    bad.write_text(BAD.read_text("utf-8").replace("    server {", f"{comment}    server {{"))
    assert objects(capsys, "nginx.conf")["ignored"] == 1


def test_a_comment_that_names_no_rule(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad.write_text("# penstock: ignore upgrade-mising\n" + BAD.read_text("utf-8"))
    check("nginx.conf", "--level", "note")
    said = capsys.readouterr().out
    assert 'nginx.conf:1:20: note: there is no rule "upgrade-mising" to ignore [ignore-unknown]' in said
    assert "did you mean: upgrade-missing" in said


# Formats


def test_json(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = objects(capsys, "nginx.conf")
    assert told["version"] == 1
    (finding,) = told["findings"]
    assert (finding["file"], finding["line"], finding["column"]) == ("nginx.conf", 9, 13)
    assert (finding["end_line"], finding["end_column"]) == (9, 45)
    text = BAD.read_text("utf-8")
    for edit in sorted(finding["fix"]["edits"], key=lambda each: -each["start"]):
        assert edit["file"] == "nginx.conf"
        text = text[: edit["start"]] + edit["text"] + text[edit["end"] :]
    assert text == FIXED.read_text("utf-8")


def test_github(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check("nginx.conf", "--format", "github")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(
        "::warning title=penstock check%3A upgrade-missing,file=nginx.conf,line=9,col=13,endLine=9,endColumn=45::"
        "WebSockets fail at location /ws/: the Upgrade header of a handshake is not passed on%0Aadd: "
    )


def test_sarif(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the schema of SARIF 2.1.0 requires, and that everything referred to is there."""
    bad.write_bytes(BROKEN.read_bytes())
    Path("umlaut.conf").write_text("# \N{LATIN SMALL LETTER U WITH DIAERESIS}\n" + BAD.read_text("utf-8"), "utf-8")
    for name in ("nginx.conf", str(bad), "umlaut.conf"):
        check(name, "--format", "sarif", "--level", "note")
        log = json.loads(capsys.readouterr().out)
        assert log["version"] == "2.1.0"
        assert log["$schema"].endswith("sarif-2.1.0.json")
        (run,) = log["runs"]
        driver = run["tool"]["driver"]
        assert driver["name"]
        identities = [rule["id"] for rule in driver["rules"]]
        assert len(set(identities)) == len(identities)
        for rule in driver["rules"]:
            assert rule["shortDescription"]["text"]
            if rule["id"] in BY_ID:
                assert "## What to do" in rule["help"]["markdown"], "nobody needs a clone to read it"
        assert run["results"]
        for result in run["results"]:
            _well_formed(result, identities, name)


def _well_formed(result: Any, identities: list[str], name: str) -> None:
    assert identities[result["ruleIndex"]] == result["ruleId"]
    assert result["level"] in ("note", "warning", "error")
    assert result["message"]["text"]
    uri = f"file://{name}" if name.startswith("/") else name
    places = [*result["locations"], *result.get("relatedLocations", ())]
    assert places
    for place in places:
        assert place["physicalLocation"]["artifactLocation"]["uri"] == uri
        _region(place["physicalLocation"]["region"])
    for fix in result.get("fixes", ()):
        assert fix["description"]["text"]
        for change in fix["artifactChanges"]:
            assert change["artifactLocation"]["uri"] == uri
            for replacement in change["replacements"]:
                _region(replacement["deletedRegion"])
                assert isinstance(replacement["insertedContent"]["text"], str)


def _region(region: Any) -> None:
    start = region["startLine"], region["startColumn"]
    end = region["endLine"], region["endColumn"]
    assert (1, 1) <= start <= end


def test_the_list_of_rules(capsys: pytest.CaptureFixture[str]) -> None:
    from penstock.doctor.rules import TABLE

    assert check("--rules") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [rule.id for rule in TABLE]


def test_a_reader_that_goes_away_is_no_error(bad: Path) -> None:
    command = f"{sys.executable} -m penstock check nginx.conf --format sarif | head -c 10"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, env=environment)
    assert "Traceback" not in done.stderr


# Our own directives


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("websocket auto; proxy_read_timeout 1h;", set()),
        ("websocket off;", set()),
        ("websocket auto; websocket_ping 20s;", set()),
        ("websocket auto; websocket_ping off;", {"timeout-default"}),
        ('websocket auto; proxy_read_timeout 1h; proxy_set_header Connection "upgrade";', set()),
        ("websocket off; proxy_set_header Upgrade $http_upgrade; proxy_http_version 1.0;", set()),
    ],
)
def test_what_penstock_does_by_itself(
    bad: Path, capsys: pytest.CaptureFixture[str], lines: str, found: set[str]
) -> None:
    start = "events { } http { server { listen 8080; proxy_set_header Host $http_host;\n"
    lines = lines.replace("proxy_set_header C", "proxy_set_header Host $http_host; proxy_set_header C")
    bad.write_text(start + f"location /ws/ {{ proxy_pass http://127.0.0.1:9000; {lines} }} }} }}\n")
    told = objects(capsys, "nginx.conf", "--level", "note")["findings"]
    assert {each["rule"] for each in told} == found


def test_a_pipe_is_read_once(capsys: pytest.CaptureFixture[str]) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"events { }\nhttp { server { listen 8080; } }\n")
    os.close(writing)
    try:
        assert main(["check", f"/dev/fd/{reading}"]) == 0
    finally:
        os.close(reading)
    assert "nothing found" in capsys.readouterr().out
