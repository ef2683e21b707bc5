"""valid_referers: which links are let in."""

import pytest

from harness.site import Site, mistakes

SITE = """
server {
    listen 80;
    server_name localhost .own.example ~^re\\d+$;
    return 200 "$invalid_referer";
    location / { return 200 "bad: $invalid_referer"; }
    location /any { return 200 "bad: $invalid_referer"; }
    location /some {
        valid_referers www.example.org/path *.wild.example tail.* ~example\\.(net|com)/x;
        return 200 "bad: $invalid_referer";
    }
    location /none { valid_referers none www.example.org; return 200 "bad: $invalid_referer"; }
    location /blocked { valid_referers blocked www.example.org; return 200 "bad: $invalid_referer"; }
    location /names { valid_referers server_names; return 200 "bad: $invalid_referer"; }
}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return Site(SITE.replace('return 200 "$invalid_referer";\n', "", 1), tmp_path_factory.mktemp("site"))


@pytest.mark.parametrize(
    ("target", "referer", "good"),
    [
        ("/any", "http://anything", True),
        ("/any", None, True),
        ("/some", None, False),
        ("/some", "http://www.example.org/path/more", True),
        ("/some", "HTTPS://WWW.example.org:8080/path", True),
        ("/some", "http://www.example.org/PATH", False),
        ("/some", "http://www.example.org", False),
        ("/some", "http://a.b.wild.example/", True),
        ("/some", "http://wild.example/", False),
        ("/some", "http://tail.x.y/", True),
        ("/some", "http://sub.example.NET/x", True),
        ("/some", "http://sub.example.net/y", False),
        ("/some", "ftp://www.example.org/path", False),
        ("/some", "www.example.org/path", False),
        ("/some", "http://" + "a" * 257 + ".example.net/x", False),
        ("/none", None, True),
        ("/none", "", False),
        ("/blocked", "", True),
        ("/blocked", "whatever", True),
        ("/blocked", "http://other.example", False),
        ("/names", "http://localhost/x", True),
        ("/names", "http://sub.own.example", True),
        ("/names", "http://own.example", True),
        ("/names", "http://RE12/", True),
        ("/names", "http://re/", False),
    ],
)
def test_links(site, target: str, referer: str | None, good: bool) -> None:
    headers = [] if referer is None else [f"Referer: {referer}"]
    assert site.ask(target, headers=headers).text == ("bad: " if good else "bad: 1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('valid_referers "";', 'invalid referer ""'),
        ("valid_referers ~;", 'empty regex in "~"'),
        ("valid_referers;", 'invalid number of arguments in "valid_referers" directive'),
        ("valid_referers a.b A.b;", 'conflicting parameter "A.b"'),
        ("valid_referers a.b; valid_referers .a.b;", 'conflicting parameter ".a.b"'),
        ("valid_referers a.b/x a.b/y;", 'conflicting parameter "a.b"'),
        ("valid_referers server_names own.example;", 'conflicting parameter "own.example"'),
        ("valid_referers a.*.b;", 'invalid hostname or wildcard "a.*.b"'),
        ("valid_referers *;", 'invalid hostname or wildcard "*"'),
        (
            "valid_referers none blocked;",
            'the "none" or "blocked" referers are specified in the "valid_referers" directive '
            "without any valid referer",
        ),
    ],
)
def test_mistakes(tmp_path, text: str, message: str) -> None:
    where = "location /a { } location /b { }"
    assert mistakes(f"server {{ listen 80; server_name own.example; {text} {where} }}", tmp_path) == [message]
