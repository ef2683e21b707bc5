"""tunnel_pass: what may be written, who is warned, who is let through to the wire."""

import pytest

from harness.site import Site, mistakes

OPEN = "anybody may have a tunnel to anywhere: this is an open proxy"


def server(text: str) -> str:
    return f"server {{ listen 80; {text} }}"


@pytest.mark.parametrize(
    "text",
    [
        "tunnel_pass;",
        "tunnel_pass $host:443;",
        "tunnel_pass $http_x_where;",
        "tunnel_pass; allow 10.0.0.0/8;",
        "tunnel_pass; tunnel_allow_upstream 1;",
        "location / { tunnel_pass; }",
        "location / { if ($request_method = CONNECT) { tunnel_pass; } }",
        "location / { tunnel_pass; } location /other { deny all; }",
        "if ($host = a) { set $x 1; } tunnel_pass;",
    ],
)
def test_an_open_proxy_is_warned_of(tmp_path, text: str) -> None:
    assert mistakes(server(text), tmp_path) == [OPEN]


@pytest.mark.parametrize(
    "text",
    [
        "tunnel_pass; tunnel_allow_upstream $upstream_last_addr;",
        "tunnel_pass; allow 10.0.0.0/8; deny all;",
        "deny all; location / { tunnel_pass; }",
        "if ($host !~ example) { return 403; } tunnel_pass;",
        "location / { if ($request_port = 443) { tunnel_pass; } }",
        "location / { if ($allowed) { tunnel_pass; } } set $allowed 1;",
        "tunnel_pass 127.0.0.1:22;",
        "tunnel_pass $where; set $where 127.0.0.1:1;",
        "tunnel_pass unix:/run/x.sock;",
    ],
)
def test_a_guarded_one_is_not(tmp_path, text: str) -> None:
    assert mistakes(server(text), tmp_path) == []


def test_the_warning_names_the_line_and_the_way_out(tmp_path) -> None:
    site = Site(server("\ntunnel_pass;"), tmp_path)
    (problem,) = site.plan.problems
    assert problem.span is not None and problem.span.line == 2
    assert "deny all;" in (problem.hint or "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tunnel_pass 127.0.0.1:80/x;", 'invalid host in upstream "127.0.0.1:80/x"'),
        ("tunnel_pass 127.0.0.1:x;", 'invalid port in upstream "127.0.0.1:x"'),
        ("tunnel_pass localhost;", 'no port in upstream "localhost"'),
        ("tunnel_pass a b;", 'invalid number of arguments in "tunnel_pass" directive'),
        ("tunnel_next_upstream http_500;", 'invalid value "http_500" in "tunnel_next_upstream" directive'),
        ("tunnel_pass 127.0.0.1:1; tunnel_pass 127.0.0.1:2;", '"tunnel_pass" directive is duplicate'),
        ("tunnel_bind nowhere;", 'invalid address "nowhere"'),
    ],
)
def test_mistakes(tmp_path, text: str, message: str) -> None:
    assert message in mistakes(server(text), tmp_path)


def test_other_methods_are_refused(tmp_path) -> None:
    site = Site(server("tunnel_pass 127.0.0.1:9;"), tmp_path)
    assert site.ask("/").status == 405


def test_only_servers_with_a_tunnel_take_connect(tmp_path) -> None:
    site = Site(server("tunnel_pass 127.0.0.1:9;") + server("server_name other;"), tmp_path)
    assert [each.allow_connect for each in site.plan.servers] == [True, False]
