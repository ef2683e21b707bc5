"""secure_link: sums that are right, wrong, too old."""

import base64
import hashlib
import time

import pytest

from harness.site import Site, mistakes

CONFIGURATION = """
    server {
        listen 80;
        location / { secure_link $arg_sum; secure_link_md5 "key $uri"; return 200 "[$secure_link]"; }
        location /ends {
            secure_link $arg_sum,$arg_until;
            secure_link_md5 "key $uri $arg_until";
            return 200 "[$secure_link][$secure_link_expires]";
        }
        location /old/ { secure_link_secret key; return 200 "[$secure_link]"; }
        location /none { secure_link $arg_sum; secure_link_md5 ""; location /none/half { secure_link_secret a; } }
    }
"""


@pytest.fixture
def site(tmp_path):
    return Site(CONFIGURATION, tmp_path)


def summed(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.md5(text.encode()).digest()).decode().rstrip("=")


def test_a_sum(site) -> None:
    good = summed("key /a")
    for given in (good, good + "=="):
        assert site.ask(f"/a?sum={given}").text == "[1]"
    for given in ("", good[:-1], good + "QQ", good + "-long", "!" + good[1:], summed("key /b")):
        assert site.ask(f"/a?sum={given}").text == "[]"


def test_an_end(site) -> None:
    now = int(time.time())
    for until, said in ((now + 100, "1"), (now - 100, "0")):
        assert site.ask(f"/ends?until={until}&sum={summed(f'key /ends {until}')}").text == f"[{said}][{until}]"
    for until in ("0", "-1", "x", ""):
        assert site.ask(f"/ends?until={until}&sum={summed(f'key /ends {until}')}").text == "[][]"


def test_the_old_way(site) -> None:
    good = hashlib.md5(b"a/bkey").hexdigest()
    assert site.ask(f"/old/{good}/a/b").text == "[a/b]"
    assert site.ask(f"/old/{good.upper()}/a/b").text == "[a/b]"
    for path in (f"{good}/a/c", good, f"{good}/", f"{good[:-1]}/a/b", "a/b"):
        assert site.ask(f"/old/{path}").text == "[]"


def test_the_two_ways_do_not_mix(tmp_path) -> None:
    message = '"secure_link_secret" cannot be mixed with "secure_link" and "secure_link_md5"'
    text = "server { listen 80; location / { secure_link_secret a; secure_link $arg_a; } }"
    assert message in mistakes(text, tmp_path)
