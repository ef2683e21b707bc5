"""nginx's control API at the control sockets, held against what its OpenAPI file says of shapes and statuses."""

import json
import socket
import stat
from dataclasses import replace

import pytest

from harness.binary import penstock
from harness.programs import run
from harness.proxy import Proxy, in_http
from harness.waiting import eventually

PLAIN = "worker_processes 2;\n" + in_http("server { listen 127.0.0.1:{port:front}; location / { return 200 one; } }")

SHAPES = {
    # By the OpenAPI file, version 1.0: an array of strings out of these, or objects with exactly these properties.
    "/1": ["control", "nginx"],
    "/1/control": ["processes", "config"],
    "/1/nginx": {"version": str, "build": str},
    "/1/control/processes": [{"name": str, "pid": int, "exiting": bool}],
    "/1/control/config": [{"name": str, "content": str}],
}


@pytest.fixture
def front():
    with Proxy(PLAIN, expect=["emerg", "not taken up"]) as made:
        eventually(lambda: sum(map(listens, sockets(made))) == 2)
        yield made


def listens(path: str) -> bool:
    """Whether somebody is there already: a socket has its name before it is listened on."""
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(path) == 0


def sockets(front) -> list[str]:
    return [str(each) for each in front.directory.glob("nginx.control/*")]


def ask(front, path: str, method: str = "GET", at: str = ""):
    """Status and JSON, by whichever worker."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(at or sockets(front)[0])
        sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        data = b""
        while piece := sock.recv(65536):
            data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head.lower()
    return int(head.split()[1]), json.loads(body) if body else None


def shape(found: object) -> object:
    if isinstance(found, dict):
        return {name: type(value) for name, value in found.items()}
    return found if found and isinstance(found[0], str) else [shape(found[0])]


def test_every_answer_has_the_documented_shape(front) -> None:
    for path, wanted in SHAPES.items():
        status, found = ask(front, path)
        assert (status, shape(found)) == (200, wanted), path
    processes = ask(front, "/1/control/processes")[1]
    assert {each["pid"] for each in processes} == front.children()
    assert not any(each["exiting"] for each in processes)
    (file,) = ask(front, "/1/control/config")[1]
    assert file["name"] == str(front.directory / "nginx.conf") and "return 200 one" in file["content"]
    assert ask(front, "/1/none")[0] == 404
    assert ask(front, "/1/nginx", "DELETE")[0] == 405
    assert ask(front, "/1/nginx", "HEAD") == (200, None)


def test_a_reload_says_what_became_of_it(front) -> None:
    file = front.directory / "nginx.conf"
    before = file.read_text()
    file.write_text(before.replace("200 one", "200 two"))
    assert ask(front, "/1/control/config", "PATCH") == (200, {"logs": []})
    assert front.get("/").text == "two", "it is in force when the answer comes"
    assert "return 200 two" in ask(front, "/1/control/config")[1][0]["content"]
    file.write_text(before.replace("return 200 one", "retrun 200"))
    status, found = ask(front, "/1/control/config", "PATCH")
    assert status == 422
    assert any('unknown directive "retrun"' in line for line in found["logs"]), found
    assert front.get("/").text == "two"
    assert "return 200 two" in ask(front, "/1/control/config")[1][0]["content"], "what is in force"
    file.write_text(before)
    assert ask(front, "/1/control/config", "PATCH")[0] == 200
    assert front.get("/").text == "one"


def test_the_address_of_l_is_there_as_long_as_the_program(tmp_path) -> None:
    """It is bound anew where one was left behind, answers through reloads, and goes with the program."""
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    program = penstock()
    flags = replace(program, command=(*program.command, "-l", f"unix:{path}"))
    with Proxy(PLAIN, flags) as front:
        eventually(lambda: sum(map(listens, sockets(front))) == 2)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for _ in range(2):
            assert {each["pid"] for each in ask(front, "/1/control/processes", at=str(path))[1]} == front.children()
            assert ask(front, "/1/control/config", "PATCH", str(path)) == (200, {"logs": []})
    assert not path.exists()
    for wrong in ("8000", "unix:relative", "/path"):
        done = run([*program.command, "-l", wrong])
        assert done.returncode == 1 and "write -l unix:/path" in done.stderr
