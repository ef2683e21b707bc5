"""try_files: the first file there is, and where to go otherwise."""

import pytest

from harness.site import Site, mistakes


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    (folder / "file.txt").write_text("file")
    (folder / "folder" / "inner").mkdir(parents=True)
    (folder / "folder" / "index.html").write_text("index")
    (folder / "folder" / "in.txt").write_text("inside")
    (folder / "folder" / "a b.txt").write_text("blank")
    return Site(
        f"""
        server {{
            listen 80;
            location / {{ try_files $uri $uri/ /else?from=$uri; }}
            location /else {{ return 200 "else $args"; }}
            location /plain {{ try_files /file.txt =404; }}
            location /code {{ try_files /nothing =410; }}
            location /named {{ try_files /nothing @named; }}
            location /nobody {{ try_files /nothing @nobody; }}
            location @named {{ return 200 "named $uri $args"; }}
            location /file-as-folder {{ try_files /file.txt/ =404; }}
            location /folder-as-file {{ try_files /folder =404; }}
            location /aliased/ {{ alias {folder}/folder/; try_files $uri $uri/ /else?aliased; }}
            location /constant/ {{ alias {folder}/folder/; try_files $uri /constant/in.txt =404; }}
            location ~ ^/regex/(.*)$ {{ alias {folder}/folder/$1; try_files "" =404; }}
            location /conditional {{ try_files /nothing =410; if ($arg_a) {{ set $x 1; }} }}
        }}
        """,
        folder,
    )


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("/file.txt", "file"),
        ("/folder/in.txt", "inside"),
        ("/folder/a%20b.txt", "blank"),
        ("/folder/", "index"),
        ("/nothing?x", "else from=/nothing"),
        ("/plain", "file"),
        ("/named?x", "named /named x"),
        ("/aliased/in.txt", "inside"),
        ("/aliased/", "index"),
        ("/aliased/nothing?x", "else aliased"),
        ("/regex/in.txt", "inside"),
    ],
)
def test_finds(site, target: str, text: str) -> None:
    assert site.ask(target).text == text


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/folder", 301),
        ("/aliased/inner", 301),
        ("/code", 410),
        ("/nobody", 500),
        ("/file-as-folder", 404),
        ("/folder-as-file", 404),
        ("/constant/nothing", 404),
        ("/regex/nothing", 404),
        ("/conditional", 410),
        ("/conditional?a=1", 404),
    ],
)
def test_answers_otherwise(site, target: str, status: int) -> None:
    assert site.ask(target).status == status


def test_only_variables_repeat_the_name_of_an_aliased_location(site) -> None:
    assert site.ask("/constant/in.txt").text == "inside"


@pytest.mark.parametrize(
    ("directive", "message"),
    [
        ("try_files /a;", 'invalid number of arguments in "try_files" directive'),
        ("try_files /a =x;", 'invalid code "=x"'),
        ("try_files /a =1000;", 'invalid code "=1000"'),
        ("try_files /a /b; try_files /c /d;", '"try_files" directive is duplicate'),
        ("if ($args) { try_files /a /b; }", '"try_files" directive is not allowed here'),
    ],
)
def test_mistakes(tmp_path, directive: str, message: str) -> None:
    assert mistakes(f"server {{ listen 80; location / {{ {directive} }} }}", tmp_path) == [message]
