"""URLs of `proxy_pass`."""

import pytest

from penstock.upstream.exchange.target import Target, parse_target


@pytest.mark.parametrize(
    ("url", "expected", "host", "port"),
    [
        ("http://name", Target("http://", "name", 0, False, ""), "name", "80"),
        ("https://name:443/", Target("https://", "name", 443, False, "/"), "name", "443"),
        ("HTTP://name:8080/a?b", Target("http://", "name", 8080, False, "/a?b"), "name:8080", "8080"),
        ("http://name?b", Target("http://", "name", 0, False, "/?b"), "name", "80"),
        ("http://[::1]:81/x", Target("http://", "[::1]", 81, False, "/x"), "[::1]:81", "81"),
        ("http://[::1]", Target("http://", "[::1]", 0, False, ""), "[::1]", "80"),
        ("http://unix:/run/a.sock", Target("http://", "/run/a.sock", 0, True, ""), "localhost", ""),
        ("http://unix:/run/a.sock:/x", Target("http://", "/run/a.sock", 0, True, "/x"), "localhost", ""),
    ],
)
def test_taken_apart(url: str, expected: Target, host: str, port: str) -> None:
    found = parse_target(url)
    assert found == expected
    assert (found.host_header, found.shown_port) == (host, port)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("name", "invalid URL prefix"),
        ("ws://name", "invalid URL prefix"),
        ("http://", 'no host in upstream ""'),
        ("http://:80", 'no host in upstream ":80"'),
        ("http://a:b", 'invalid port in upstream "a:b"'),
        ("http://a:70000/", 'invalid port in upstream "a:70000/"'),
        ("http://unix:", 'no path in the unix domain socket in upstream "unix:"'),
        ("http://[::1", 'invalid host in upstream "[::1"'),
    ],
)
def test_refused(url: str, words: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_target(url)
    assert str(error.value) == words
