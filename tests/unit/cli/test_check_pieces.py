"""`penstock check` on a piece: it is compiled in what it is a piece of; what another file may have is no mistake."""

import json
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.main import main


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """What is said of a text: rules, severities and messages."""
    monkeypatch.chdir(tmp_path)

    def look(text: str, *options: str) -> list[tuple[str, str, str]]:
        Path("site.conf").write_text(text)
        main(["check", "site.conf", "--level", "note", "--fail-on", "never", "--format", "json", *options])
        told = json.loads(capsys.readouterr().out)["findings"]
        return [(each["rule"], each["severity"], each["message"]) for each in told]

    return look


def errors(found: list[tuple[str, str, str]]) -> list[str]:
    return [message for _, severity, message in found if severity == "error"]


MISTAKES = {
    "a directive of a server": ("server { listen 80; servername a; }", 'unknown directive "servername"'),
    "a value": ("server { listen 80; client_max_body_size lots; }", "client_max_body_size"),
    "a location alone": ("location / { proxy_pas http://a:1; }", 'unknown directive "proxy_pas"'),
    "the inside of a location": ("proxy_pass http://a:1;\nproxy_buffering maybe;", "proxy_buffering"),
    "members of an upstream": ("server 10.0.0.1:80;\nserver 10.0.0.2:80 wait=3;", "wait=3"),
    "a map and a location": ("map $http_upgrade $u { default a; }\nlocation /ws { proxy_read_timeout x; }", "timeout"),
    "a level too low": ("location / { proxy_pass http://a:1; server_name x; }", "not allowed here"),
    "http alone": ("http { server { lissten 80; } }", 'unknown directive "lissten"'),
    "of the main level": ("user nobody;\nworker_processes some;", "worker processes"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_in_a_piece_are_found(name: str, found: Any) -> None:
    text, said = MISTAKES[name]
    assert len(errors(found(text))) == 1, found(text)
    assert said in errors(found(text))[0]


GOOD = {
    "http alone": "http { server { listen 80; location / { proxy_pass http://127.0.0.1:1; } } }",
    "a variable of another file": "server { listen 80; location /ws/ { proxy_pass http://127.0.0.1:1; "
    "proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_read_timeout 1h; "
    "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; } }",
    "a zone of another file": "server { listen 80; limit_req zone=one burst=5; limit_conn perip 10; }",
    "a format of another file": "server { listen 80; access_log /tmp/a.log main; }",
    "an upstream of another file": "server { listen 80; location / { proxy_pass http://backend; } }",
    "certificates of another file": "server { listen 443 ssl; server_name a.test; }",
    "parameters": "proxy_set_header Host $http_host;\nproxy_http_version 1.1;\nproxy_buffering off;",
    "lines of a map": "text/html html htm;\nimage/png png;",
    "members": "server 10.0.0.1:80;\nserver 10.0.0.2:80;\nkeepalive 8;",
    "a page's example": "map $http_upgrade $connection_upgrade { default upgrade; '' close; }\n"
    "upstream chat { server 127.0.0.1:1; }\nserver { listen 80; location / { proxy_pass http://chat; } }",
}


@pytest.mark.parametrize("options", [(), ("--for", "nginx")], ids=["penstock", "nginx"])
@pytest.mark.parametrize("name", GOOD)
def test_what_other_files_have_is_no_mistake(name: str, options: tuple[str, ...], found: Any) -> None:
    told = found(GOOD[name], *options)
    assert not [each for each in told if each[1] != "note"], told


def test_a_whole_configuration_has_to_be_whole(found: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert errors(found("worker_processes 1; http { server { listen 80; } }"))[0].startswith('no "events" section')
    (note,) = found("http { server { listen 80; } }")
    assert note[1] == "note"
    assert 'no "events" section' in note[2]
    Path("nginx.conf").write_text("http { server { listen 80; } }")
    assert main(["check", "-p", str(tmp_path)]) == 1, "it is the one that would run"
    assert 'no "events" section' in capsys.readouterr().out


def test_no_figure_is_given_for_a_piece(found: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found(GOOD["a variable of another file"])
    main(["check", "site.conf"])
    assert "WebSockets at once" not in capsys.readouterr().out
    page = GOOD["a page's example"].replace("/ {", "/ws { proxy_set_header Upgrade $http_upgrade; "
        "proxy_set_header Connection upgrade;")  # fmt: skip
    Path("site.conf").write_text(f"events {{ }} http {{ {page} }}")
    main(["check", "site.conf"])
    assert "worker_connections 512 allow 256 (a tunnel takes two)" in capsys.readouterr().out


def test_names_of_other_files_are_not_said_to_be_looked_up(found: Any) -> None:
    """`http://backend` may be an upstream of another file; with a port, or dots, it is a host."""

    def looked_up(text: str) -> bool:
        return "name-resolved-once" in {rule for rule, _, _ in found(text, "--for", "nginx")}

    assert not looked_up("location / { proxy_pass http://backend; }")
    assert not looked_up("location / { proxy_pass http://backend/path; }")
    assert looked_up("location / { proxy_pass http://backend:3000; }")
    assert looked_up("location / { proxy_pass http://app.example.com; }")
    assert looked_up("events { } http { server { location / { proxy_pass http://backend; } } }")


def test_explain_takes_a_piece(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    piece = tmp_path / "ws.conf"
    piece.write_text("location /ws/ { proxy_pass http://127.0.0.1:1; websocket auto; }")
    assert main(["explain", "-c", str(piece), "ws://localhost/ws/a"]) == 0
    assert "a WebSocket gets through" in capsys.readouterr().out
