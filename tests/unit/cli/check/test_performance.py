"""`penstock check --performance`: lines that keep requests off the straight way are named, and nothing fails by it."""

import json
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.main import main

SITE = """\
events { }
http {
    upstream app { server 127.0.0.1:3000; }
    server {
        listen 80;
        server_name a.example;
        location / { proxy_pass http://app; proxy_read_timeout 1h; }
        location /api/ {
            auth_request /ask;
            proxy_pass http://app;
        }
        location /else/ {
            if ($arg_a) { set $b c; }
            proxy_pass http://app;
            proxy_cache_bypass $b;
        }
        location /php/ { fastcgi_pass 127.0.0.1:9000; }
        location /ask { internal; return 204; }
        location /files/ { root html; }
    }
}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nginx.conf").write_text(SITE)


def check(*arguments: str) -> int:
    return main(["check", "nginx.conf", "--performance", *arguments])


def told(capsys: Any, *arguments: str) -> Any:
    check(*arguments, "--format", "json")
    return json.loads(capsys.readouterr().out)


def notes(report: Any) -> dict[int, list[tuple[int, str]]]:
    """By the line of each location: the lines that are named, and what is said of them."""
    found = [each for each in report["findings"] if each["rule"] == "general-way"]
    assert {each["severity"] for each in found} == {"note"}
    return {each["line"]: [(near["line"], near["text"]) for near in each["related"]] for each in found}


def test_each_line_that_keeps_requests_off(capsys: pytest.CaptureFixture[str]) -> None:
    report = told(capsys)
    assert notes(report) == {
        8: [(9, "auth_request may have to wait")],
        12: [(13, "if comes before the location is known for good")],
        17: [(17, "fastcgi_pass has no straight way, only proxy_pass has")],
    }
    assert report["ways"] == {"straight": 1, "locations": 4}
    (cost,) = {each["advice"] for each in report["findings"] if each["rule"] == "general-way"}
    assert "half as many instructions again" in cost


def test_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    check("--level", "error")
    said = capsys.readouterr().out
    assert "nginx.conf:8:9: note: location /api/: requests take the general way: auth_request may" in said
    assert "     = nginx.conf:9: auth_request may have to wait\n     = a request costs half" in said
    assert "1 of 4 locations that pass requests on have the straight way\n" in said
    Path("nginx.conf").write_text("events { } http { server { location / { proxy_pass http://127.0.0.1:1; } } }")
    check()
    assert "every location that passes requests on has the straight way" in capsys.readouterr().out


def test_not_asked_for_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "nginx.conf", "--level", "note"])
    said = capsys.readouterr().out
    assert "general-way" not in said and "straight" not in said


@pytest.mark.parametrize("level", ["note", "warning", "error", "never"])
def test_the_exit_code_is_what_it_was(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = main(["check", "nginx.conf", "--fail-on", level])
    assert check("--fail-on", level) == before
    Path("nginx.conf").write_text("events { } http { server { location / { proxy_pass https://127.0.0.1:1; } } }")
    before = main(["check", "nginx.conf", "--fail-on", level])
    assert check("--fail-on", level) == before
    capsys.readouterr()


def test_addresses_some_of_whose_requests_do_not_go_straight(capsys: pytest.CaptureFixture[str]) -> None:
    text = SITE.replace("listen 80;", "listen 80; listen 443 ssl; ssl_certificate a; ssl_certificate_key a; http2 on;")
    Path("nginx.conf").write_text(text)
    said = [each["message"] for each in told(capsys)["findings"] if "0.0.0.0" in each["message"]]
    assert sorted(said) == [
        "0.0.0.0:80: the first request of a connection may take the general way, as it may begin to speak HTTP/2",
    ]


def test_sarif_and_github(capsys: pytest.CaptureFixture[str]) -> None:
    check("--format", "sarif")
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    found = [each for each in run["results"] if each["ruleId"] == "general-way"]
    assert [each["locations"][0]["physicalLocation"]["region"]["startLine"] for each in found] == [8, 12, 17]
    assert run["tool"]["driver"]["rules"][found[0]["ruleIndex"]]["id"] == "general-way"
    check("--format", "github")
    assert "::notice title=penstock check%3A general-way,file=nginx.conf,line=8," in capsys.readouterr().out


def test_a_comment_puts_it_aside(capsys: pytest.CaptureFixture[str]) -> None:
    Path("nginx.conf").write_text(SITE.replace("location /api/ {", "location /api/ {  # penstock: ignore general-way"))
    assert sorted(notes(told(capsys))) == [12, 17]


def test_a_piece_and_what_is_not_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    Path("nginx.conf").write_text("location /a { auth_request /x; mirror /y; proxy_pass http://b; }\n")
    assert notes(told(capsys)) == {1: [(1, "auth_request may have to wait"), (1, "mirror may have to wait")]}
    Path("nginx.conf").write_text("events { } http { sever { } }")
    assert told(capsys)["ways"] == {"straight": 0, "locations": 0}
