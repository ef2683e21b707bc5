"""Statements become a tree, files become one tree, and each mistake is heard once, where it was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock.config.blocks import line_break
from penstock.config.builder import DEEPEST
from penstock.config.errors import Problems
from penstock.config.parser import parse_file, parse_parameter, parse_text
from penstock.config.source import Source
from penstock.config.tree import Directive

KNOWN = frozenset(["http", "server", "listen", "server_name", "location", "map", "root"])


def plain(directives: tuple[Directive, ...]) -> list[Any]:
    """Nested lists: `["name", "arg"]`, and for a block `["name", "arg", [...]]`."""
    return [
        [each.text, *each.words] + ([] if each.block is None else [plain(each.block)]) for each in directives
    ]


def parse(text: str) -> tuple[list[Any], list[str]]:
    problems = Problems()
    tree = parse_text(text, "a", problems, known=KNOWN.__contains__)
    return plain(tree), [
        f"{problem.span.line if problem.span else 0} {problem.message}" for problem in problems
    ]


def test_tree() -> None:
    tree, messages = parse("http { server { listen 80; } map a b { } } daemon off;")
    assert tree == [["http", [["server", [["listen", "80"]]], ["map", "a", "b", []]]], ["daemon", "off"]]
    assert messages == []


def test_span_of_a_directive_ends_with_its_last_argument() -> None:
    (http,) = parse_text("http {\n  server_name 'a b'  c ; }", "a", Problems())
    assert http.block is not None
    assert http.span.text == "http"
    assert http.block[0].span.text == "server_name 'a b'  c"


def test_addresses_without_server_stay_in_the_tree() -> None:
    assert parse("upstream x { 192.168.3.1:3000; }") == ([["upstream", "x", [["192.168.3.1:3000"]]]], [])


@pytest.mark.parametrize(
    ("text", "tree", "messages"),
    [
        pytest.param(
            "server {\n listen 80\n server_name a;\n}",
            [["server", [["listen", "80"], ["server_name", "a"]]]],
            ['2 directive "listen" is not terminated by ";"'],
            id="no semicolon before a directive",
        ),
        pytest.param(
            "server {\n listen 80\n location / {\n }\n}",
            [["server", [["listen", "80"], ["location", "/", []]]]],
            ['2 directive "listen" is not terminated by ";"'],
            id="no semicolon before a block",
        ),
        pytest.param(
            "server {\n root a\n server_name b\n listen c\n}",
            [["server", [["root", "a"], ["server_name", "b"], ["listen", "c"]]]],
            [
                f'{line} directive "{name}" is not terminated by ";"'
                for line, name in enumerate(["root", "server_name", "listen"], 2)
            ],
            id="no semicolon anywhere",
        ),
        pytest.param(
            "location / { return 200 }\nroot x;",
            [["location", "/", [["return", "200"]]], ["root", "x"]],
            ['1 directive "return" is not terminated by ";"'],
            id="no semicolon before a brace",
        ),
        pytest.param(
            "location / { return 200}\nroot x;",
            [["location", "/", [["return", "200"]]], ["root", "x"]],
            ['1 directive "return" is not terminated by ";"'],
            id="brace hidden in a word",
        ),
        pytest.param(
            "server { location / { return 200} }\n",
            [["server", [["location", "/", [["return", "200"]]]]]],
            ['1 directive "return" is not terminated by ";"'],
            id="brace hidden in a word in front of a brace",
        ),
        pytest.param(
            "server_name\n  a\n  root\n b;",
            [["server_name", "a", "root", "b"]],
            [],
            id="arguments in several lines",
        ),
        pytest.param(
            "listen 443\nserver\n;",
            [["listen", "443", "server"]],
            [],
            id="argument that is called like a directive",
        ),
        pytest.param(
            "map a b { c d; };\nroot x;",
            [["map", "a", "b", [["c", "d"]]], ["root", "x"]],
            ['1 unexpected ";"'],
            id="brace and semicolon",
        ),
        pytest.param(
            "root x;\n{ a; b { } }\nroot y;",
            [["root", "x"], ["root", "y"]],
            ['2 unexpected "{"'],
            id="block without a name",
        ),
        pytest.param(
            "root x",
            [["root", "x"]],
            ['1 unexpected end of file, expecting ";" or "}"'],
            id="no semicolon at the end",
        ),
        pytest.param(
            "http {\n server {\n  listen 80;\n }\n",
            [["http", [["server", [["listen", "80"]]]]]],
            ['1 unexpected end of file, expecting "}"'],
            id="outer block not closed",
        ),
        pytest.param(
            "http {\n server {\n  location / {\n   root a;\n }\n server {\n  listen 80;\n }\n}\n",
            [["http", [["server", [["location", "/", [["root", "a"]]]]], ["server", [["listen", "80"]]]]]],
            ['3 unexpected end of file, expecting "}"'],
            id="inner block not closed",
        ),
        pytest.param(
            "http {\n server {\n  listen 80;\n server {\n  listen 81;\n }\n}\n",
            [["http", [["server", [["listen", "80"]]], ["server", [["listen", "81"]]]]]],
            ['2 unexpected end of file, expecting "}"'],
            id="block not closed before its sibling",
        ),
        pytest.param(
            "http {\nserver {\nlisten 80;\n}\n",
            [["http", [["server", [["listen", "80"]]]]]],
            ['1 unexpected end of file, expecting "}"'],
            id="not closed, no indentation to tell",
        ),
        pytest.param(
            "map a b {\n  default c;\n  '' d;\n}\n  e; }\nroot x;",
            [["map", "a", "b", [["default", "c"], ["", "d"], ["e"]]], ["root", "x"]],
            ['5 unexpected "}"'],
            id="map closed too early",
        ),
        pytest.param(
            "map a b {\n  '' d; }\nclose;\n}\nroot x;",
            [["map", "a", "b", [["", "d"]]], ["root", "x"]],
            ['4 unexpected "}"'],
            id="map closed too early, orphan without indentation",
        ),
        pytest.param(
            "http {\n server {\n }\n }\n server { listen 80; }\n}\n",
            [["http", [["server", []], ["server", [["listen", "80"]]]]]],
            ['4 unexpected "}"'],
            id="one brace too many in the middle",
        ),
        pytest.param(
            "http {\n server\n  listen 80;\n  location /\n   root x;\n  }\n }\n}",
            [["http", [["server", [["listen", "80"], ["location", "/", [["root", "x"]]]]]]]],
            ['2 directive "server" has no opening "{"', '4 directive "location" has no opening "{"'],
            id="blocks not opened",
        ),
        pytest.param(
            "events\n}\nmap a b\n  c d;\n}",
            [["events", []], ["map", "a", "b", [["c", "d"]]]],
            ['1 directive "events" has no opening "{"', '3 directive "map" has no opening "{"'],
            id="empty block and block of unknown words not opened",
        ),
        pytest.param("}\nroot x;", [["root", "x"]], ['1 unexpected "}"'], id="nothing to close"),
        pytest.param(
            "location ~ ^/\\d{4}/\\d{2,}$ { root x; }",
            [["location", "~", r"^/\d{4}/\d{2,}$", [["root", "x"]]]],
            ['1 unexpected "{" in "^/\\d{"', '1 unexpected "{" in "^/\\d{4}/\\d{"'],
            id="pattern without quotes",
        ),
        pytest.param(
            "include a b;", [], ['1 invalid number of arguments in "include" directive'], id="include"
        ),
    ],
)
def test_one_mistake_is_one_message(text: str, tree: list[Any], messages: list[str]) -> None:
    assert parse(text) == (tree, messages)


def test_all_mistakes_in_one_run() -> None:
    _, messages = parse("listen 80\nserver {\n root 'a'b;\n };\nlocation / { return 200 }\n}\nroot \"x;\n")
    assert [int(message.split()[0]) for message in messages] == [1, 3, 4, 5, 6, 7]


def test_depth_is_bounded() -> None:
    assert parse("a {" * DEEPEST + "}" * DEEPEST)[1] == []
    deep, messages = parse("a {" * 5000 + "b c;" + "}" * 5000 + " d;")
    assert messages == [f"1 blocks are nested more than {DEEPEST} deep"]
    assert deep[1] == ["d"]


def test_line_break_is_where_a_semicolon_may_be_missing() -> None:
    one, two = parse_text("return 200 # why\n 'x';\nreturn 200;", "a", Problems())
    span = line_break(one)
    assert span is not None and (span.line, span.column) == (1, 11)
    assert line_break(two) is None


def test_parameter_of_the_command_line() -> None:
    problems = Problems()
    assert plain(parse_parameter("daemon off; a { } user b", problems)) == [["daemon", "off"], ["user", "b"]]
    assert [str(problem) for problem in problems] == [
        'unexpected end of parameter, expecting ";" in command line',
        "block directives are not supported in -g option in command line",
    ]


class Files:
    """A folder of configurations to parse from `nginx.conf` on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loaded: list[Source] = []
        self.problems = Problems()

    def parse(self, **files: str) -> list[Any]:
        for name, text in files.items():
            path = self.folder / name.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        tree = parse_file(f"{self.folder}/main", self.problems, base=str(self.folder), loaded=self.loaded)
        return plain(tree)

    @property
    def messages(self) -> list[str]:
        return [str(problem).replace(str(self.folder), "") for problem in self.problems]

    @property
    def names(self) -> list[str]:
        return [source.path.removeprefix(f"{self.folder}/") for source in self.loaded]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_include_stands_for_its_file(files: Files) -> None:
    tree = files.parse(
        main="a; http { include sub/x; d; } include sub/x;", sub__x="b; include sub/y;", sub__y="c;"
    )
    assert tree == [["a"], ["http", [["b"], ["c"], ["d"]]], ["b"], ["c"]]
    assert files.messages == []
    assert files.names == ["main", "sub/x", "sub/y"], "each file is loaded once"


def test_globs_come_in_order_of_bytes_without_hidden_files(files: Files) -> None:
    tree = files.parse(
        main="include d/*; include e/*.conf; include d/[ab];", d__b="b;", d__a="a;", d__B="B;", d__10="10;"
    )
    (files.folder / "d" / ".hidden").write_text("hidden;")
    assert tree == [["10"], ["B"], ["a"], ["b"], ["a"], ["b"]]
    assert files.messages == []


def test_names_of_files_are_bytes(files: Files) -> None:
    (files.folder / "é").write_text("x;")
    assert files.parse(main="include é; include [é]*;".encode().decode()) == [["x"], ["x"]]


def test_missing_file(files: Files) -> None:
    assert files.parse(main="a;\ninclude conf.d/mime.typs;\nb;", **{"conf.d__mime.types": ""}) == [
        ["a"],
        ["b"],
    ]
    assert files.messages == ['open() "/conf.d/mime.typs" failed (2: No such file or directory) in /main:2']
    assert [problem.hint for problem in files.problems] == [f"did you mean: {files.folder}/conf.d/mime.types"]


def test_missing_main_file(tmp_path: Path) -> None:
    problems = Problems()
    assert parse_file("/none/nginx.conf", problems, base="/none") == ()
    assert [str(each) for each in problems] == [
        'open() "/none/nginx.conf" failed (2: No such file or directory)'
    ]


def test_folder_instead_of_file(files: Files) -> None:
    files.parse(main="include sub;", sub__x="")
    assert files.messages == ['pread() "/sub" failed (21: Is a directory) in /main:1']


def test_mistake_in_an_included_file_is_blamed_on_it_and_reported_once(files: Files) -> None:
    files.parse(main="a { include x; } b { include x; }\nc;", x="d;\ne")
    assert files.messages == ['unexpected end of file, expecting ";" or "}" in /x:2']


def test_block_cannot_end_in_another_file(files: Files) -> None:
    files.parse(main="a { include x;", x="b; }")
    assert files.messages == ['unexpected "}" in /x:1', 'unexpected end of file, expecting "}" in /main:1']


def test_cycles(files: Files) -> None:
    assert files.parse(main="include x;", x="a; include y;", y="b; include x;") == [["a"], ["b"]]
    assert files.messages == ['include of "/x" never ends in /y:1']
    assert [each.hint for each in files.problems] == [
        f"{files.folder}/x includes {files.folder}/y includes {files.folder}/x"
    ]


def test_growth_by_includes_is_bounded(files: Files) -> None:
    many = {f"f{n}": f"include f{n + 1};" * 10 for n in range(20)}
    files.parse(main="include f0;", f20="a;" * 10, **many)
    assert files.problems.failed
    assert "directives by way of include" in files.messages[0]


def test_depth_across_files_is_bounded(files: Files) -> None:
    half = DEEPEST // 2 + 1
    files.parse(main="a {" * half + "include x;" + "}" * half, x="b {" * half + "}" * half)
    assert files.messages == [f"blocks are nested more than {DEEPEST} deep in /main:1"]


def test_deep_chain_of_files_is_bounded(files: Files) -> None:
    files.parse(main="include f0;", **{f"f{n}": f"include f{n + 1};" for n in range(70)}, f70="a;")
    assert files.messages == ["files are included more than 64 deep in /f62:1"]
