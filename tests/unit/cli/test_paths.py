"""Where things are when nobody says."""

import pytest

from penstock.cli import paths
from penstock.cli.main import main
from penstock.cli.options import parse_options


def launch(*arguments: str):
    return paths.launch_for(parse_options(arguments))


@pytest.fixture
def only(monkeypatch):
    """Pretend that exactly these files exist."""
    there: set[str] = set()
    monkeypatch.setattr(paths, "_exists", there.__contains__)
    return there


def test_prefix_of_nginx_tools(only) -> None:
    found = launch("-p", "/x/", "-c", "nginx.conf", "-e", "error.log")
    assert (found.prefix, found.path, found.error_log) == ("/x/", "/x/nginx.conf", "/x/error.log")
    assert found.pid_file == "/x/logs/nginx.pid"


def test_prefix_gets_its_slash_and_may_be_relative(only) -> None:
    found = launch("-p", "x")
    assert (found.prefix, found.path, found.error_log) == ("x/", "x/conf/nginx.conf", "x/logs/error.log")


def test_configuration_beside_its_prefix(only) -> None:
    only.add("x/nginx.conf")
    assert launch("-p", "x").path == "x/nginx.conf"
    only.add("x/conf/nginx.conf")
    assert launch("-p", "x").path == "x/conf/nginx.conf"


def test_configuration_elsewhere_leaves_the_prefix(only) -> None:
    found = launch("-p", "/x", "-c", "/etc/y.conf")
    assert (found.prefix, found.path) == ("/x/", "/etc/y.conf")


def test_system_configuration(only) -> None:
    only.add("/etc/nginx/nginx.conf")
    found = launch()
    assert (found.prefix, found.path) == ("/etc/nginx/", "/etc/nginx/nginx.conf")
    assert (found.error_log, found.pid_file) == ("/var/log/nginx/error.log", "/run/nginx.pid")
    only.add("/etc/penstock/nginx.conf")
    assert launch().path == "/etc/penstock/nginx.conf"


def test_current_folder(only, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = launch()
    assert (found.prefix, found.path) == (f"{tmp_path}/", f"{tmp_path}/nginx.conf")


def test_stderr_is_no_file(only) -> None:
    assert launch("-p/x", "-estderr").error_log == ""


def test_globals_and_testing(only) -> None:
    found = launch("-p/x", "-g", "daemon off;", "-t")
    assert found.globals_text == "daemon off;"
    assert found.testing


def test_a_command_that_was_told_no_file_says_which_it_is_about(only, tmp_path, monkeypatch, capsys) -> None:
    """On a machine with nginx, it is not the one in this folder."""
    monkeypatch.chdir(tmp_path)
    only.add("/etc/nginx/nginx.conf")
    taken = launch()
    assert paths.unnamed(taken, "-c nginx.conf") == "this is about /etc/nginx/nginx.conf"
    only.add(f"{tmp_path}/nginx.conf")
    assert paths.unnamed(taken, "-c nginx.conf") == (
        "this is about /etc/nginx/nginx.conf; for the one in this folder: -c nginx.conf"
    )
    only.remove("/etc/nginx/nginx.conf")
    assert paths.unnamed(launch(), "-c nginx.conf") == f"this is about {tmp_path}/nginx.conf"
    (tmp_path / "nginx.conf").write_text("events { } http { server { listen 8080; } }")
    for arguments in (["check"], ["explain", "/"]):
        main(arguments)
        assert f"this is about {tmp_path}/nginx.conf\n" in capsys.readouterr().err
    for arguments in (["check", "nginx.conf"], ["explain", "-c", "nginx.conf", "/"]):
        main(arguments)
        assert "this is about" not in capsys.readouterr().err
