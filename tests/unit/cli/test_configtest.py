"""-t, -T and -s in this process: what is printed, and the exit code."""

import os
import signal
import subprocess
import sys

import pytest

from penstock.cli.main import main
from penstock.observe import errorlog


@pytest.fixture(autouse=True)
def _log_put_back():
    before = errorlog.fallback()
    yield
    errorlog.set_fallback(before)
    errorlog.use_console(None)


@pytest.fixture
def folder(tmp_path):
    user = "user root;" if os.geteuid() == 0 else ""
    (tmp_path / "nginx.conf").write_text(f"{user} pid nginx.pid; events {{ }} http {{ access_log off; }}\n")
    return tmp_path


def run(folder, *arguments: str) -> int:
    return main(["-p", str(folder), "-c", "nginx.conf", "-e", "error.log", *arguments])


def test_good_configuration(folder, capfd) -> None:
    assert run(folder, "-t") == 0
    path = f"{folder}/nginx.conf"
    assert capfd.readouterr() == (
        "",
        f"penstock: the configuration file {path} syntax is ok\n"
        f"penstock: configuration file {path} test is successful\n",
    )
    assert (folder / "nginx.pid").read_text() == "", "the file is tried, but nothing is written"


def test_quiet(folder, capfd) -> None:
    assert run(folder, "-tq") == 0
    assert capfd.readouterr() == ("", "")


def test_every_mistake_with_its_place(folder, capfd) -> None:
    (folder / "nginx.conf").write_text("events { }\nhttp {\n  sever { }\n  keepalive_timeout x;\n}\n")
    assert run(folder, "-t") == 1
    text = capfd.readouterr().err
    assert f'penstock: [emerg] unknown directive "sever" in {folder}/nginx.conf:3' in text
    assert f"{folder}/nginx.conf:4" in text
    assert text.endswith(f"penstock: configuration file {folder}/nginx.conf test failed\n")
    assert "syntax is ok" not in text
    assert "unknown directive" in (folder / "error.log").read_text()


def test_log_that_can_not_be_opened(folder, capfd) -> None:
    (folder / "nginx.conf").write_text("pid nginx.pid; error_log no/error.log; events { }\n")
    assert run(folder, "-t") == 1
    text = capfd.readouterr().err
    assert "syntax is ok" in text
    assert f'penstock: [emerg] open() "{folder}/no/error.log" failed (2: No such file or directory)' in text
    assert f'make the folder "{folder}/no"' in text


def test_a_log_of_the_prefix_that_may_not_be_written_says_how_to_have_another(folder, capfd) -> None:
    """Nobody may make files in /sys, root neither: it stands for /var/log/nginx, and for users who are not root."""
    (folder / "nginx.conf").write_text("pid nginx.pid; events { } http { server { listen 127.0.0.1:8099; } }\n")
    (folder / "logs").symlink_to("/sys/kernel")
    assert run(folder, "-t") == 1
    text = capfd.readouterr().err
    assert f'open() "{folder}/logs/access.log" failed (13: Permission denied)' in text
    assert f"= {folder}/ logs there unless the configuration says otherwise: write access_log off;" in text
    assert "-p FOLDER" in text


def test_a_named_log_that_may_not_be_written_says_so(folder, capfd) -> None:
    (folder / "nginx.conf").write_text("pid nginx.pid; error_log /sys/kernel/error.log; events { }\n")
    assert run(folder, "-t") == 1
    text = capfd.readouterr().err
    assert "this user can not write to it: name another place with error_log, access_log and -e" in text


def test_a_pid_file_that_may_not_be_written_says_so(folder, capfd) -> None:
    (folder / "nginx.conf").write_text("pid /sys/kernel/nginx.pid; events { }\n")
    assert run(folder, "-t") == 1
    assert "this user can not write to it: name another place: pid FILE;" in capfd.readouterr().err


def test_pid_file_that_can_not_be_opened(folder, capfd) -> None:
    (folder / "nginx.conf").write_text("pid no/nginx.pid; events { }\n")
    assert run(folder, "-t") == 1
    text = capfd.readouterr().err
    assert f'[emerg] open() "{folder}/no/nginx.pid" failed (2:' in text
    assert f'make the folder "{folder}/no", or name another place: pid FILE;' in text


def test_boot_log_that_can_not_be_opened(folder, capfd) -> None:
    assert main(["-p", str(folder), "-c", "nginx.conf", "-e", "no/error.log", "-g", "error_log error.log;", "-t"]) == 0
    assert f'penstock: [alert] could not open error log file: open() "{folder}/no/error.log"' in capfd.readouterr().err


def test_warning_does_not_fail(folder, capfd) -> None:
    conf = "error_log off; pid nginx.pid; events { }\n"
    (folder / "nginx.conf").write_text(conf)
    assert run(folder, "-t") == 0
    assert "penstock: [warn]" in capfd.readouterr().err


def test_dump_shows_every_file_once_byte_for_byte(folder, capfdbinary) -> None:
    main_text = (folder / "nginx.conf").read_bytes().replace(b"http {", b"http { include a.conf; include a.conf;")
    (folder / "nginx.conf").write_bytes(main_text)
    (folder / "a.conf").write_bytes(b"# caf\xc3\xa9 \xff\n")
    assert run(folder, "-T") == 0
    assert capfdbinary.readouterr().out == (
        b"# configuration file %b/nginx.conf:\n" % os.fsencode(folder)
        + main_text
        + b"\n# configuration file %b/a.conf:\n# caf\xc3\xa9 \xff\n\n" % os.fsencode(folder)
    )


def test_user_that_does_not_exist(folder, capfd) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root changes users")
    (folder / "nginx.conf").write_text("user nobody-by-this-name;\nevents { }\n")
    assert run(folder, "-t") == 1
    assert '[emerg] getpwnam("nobody-by-this-name") failed in ' in capfd.readouterr().err


def test_signal_reaches_the_process_in_the_pid_file(folder) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (folder / "nginx.pid").write_text(f"{sleeper.pid}\n")
    assert run(folder, "-s", "stop") == 0
    assert sleeper.wait(10) == -signal.SIGTERM
    assert "signal process started" in (folder / "error.log").read_text()


def test_signal_without_a_process(folder, capfd) -> None:
    path = f"{folder}/nginx.pid"
    assert run(folder, "-s", "reload") == 1
    assert f'penstock: [error] open() "{path}" failed (2: No such file or directory)' in capfd.readouterr().err
    for text in ("", "x1\n"):
        (folder / "nginx.pid").write_text(text)
        assert run(folder, "-s", "reload") == 1
        assert f'penstock: [error] invalid PID number "{text.strip()}" in "{path}"' in capfd.readouterr().err
    (folder / "nginx.pid").write_text("999999999\n")
    assert run(folder, "-s", "quit") == 1
    assert "penstock: [alert] kill(999999999, 3) failed (3: No such process)" in capfd.readouterr().err


def test_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "penstock", "-v"], capture_output=True, text=True)
    assert (done.returncode, done.stderr[:15]) == (0, "nginx version: ")
