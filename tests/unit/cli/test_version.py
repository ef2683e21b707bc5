"""-v and -V: cheap, true, and in the form that tools read."""

import re
import subprocess
import sys
from pathlib import Path

import penstock
from penstock.cli.main import main
from penstock.cli.version import VERSION, configure_arguments, details
from penstock.config.registry import REGISTRY, Verdict


def test_version_is_one_that_tools_accept(capfd) -> None:
    assert main(["-v"]) == 0
    assert capfd.readouterr() == ("", VERSION + "\n")
    found = re.search(r"nginx version: nginx/([0-9.]+)", VERSION)
    assert found
    assert [int(part) for part in found[1].split(".")] >= [1, 31, 4]


def test_details(capfd) -> None:
    assert main(["-V"]) == 0
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == VERSION
    assert any(re.match(r"built with OpenSSL [0-9.]+", line) for line in lines)
    assert "TLS SNI support enabled" in lines
    assert any(re.match(r"regular expressions: python, (?:with a time limit|and pcre2 10\.)", line) for line in lines)
    assert lines[-1].startswith("configure arguments: --with-http_ssl_module ")
    assert "--with-debug" not in details()


def test_arguments_follow_what_is_declared() -> None:
    words = configure_arguments()
    for word, name in (("http_proxy_module", "proxy_pass"), ("http_fastcgi_module", "fastcgi_pass")):
        works = any(spec.verdict is Verdict.IMPLEMENTED for spec in REGISTRY.specs(name))
        assert (f"--without-{word}" in words) is not works
    assert {"--with-stream", "--with-stream_ssl_module"} <= set(words)


def test_help(capfd) -> None:
    assert main(["-h"]) == 0
    text = capfd.readouterr().err
    assert text.startswith(VERSION)
    for letter in "?hvVtTqspecg":
        assert f"-{letter}" in text


def test_version_imports_no_server() -> None:
    code = (
        "import sys; from penstock.cli.main import main; main(['-v']);"
        "bad = {'asyncio', 'ssl', 'socket', 'penstock.config.registry'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    # -I -S: what a site's own hooks import is not ours to answer for.
    source = str(Path(penstock.__file__).parent.parent)
    code = f"import sys; sys.path.insert(0, {source!r});" + code
    assert subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True).returncode == 0


def test_mistake_ends_with_one(capfd) -> None:
    assert main(["-x"]) == 1
    assert capfd.readouterr().err == 'penstock: invalid option: "x"\n'
