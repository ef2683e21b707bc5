"""A location with a final slash that passes requests on, beside others: who gets the path without the slash?

Every layout of a few locations is asked for, and the answers are compared with a live nginx's.
"""

from itertools import combinations

import pytest

from harness.ports import free_port

PASSES = {
    "proxy": "proxy_pass http://127.0.0.1:{port:dead};",
    "uri": "proxy_pass http://127.0.0.1:{port:dead}/up/;",
    "variable": "set $to 127.0.0.1:{port:dead}; proxy_pass http://$to;",
    "uwsgi": "uwsgi_pass 127.0.0.1:{port:dead};",
    "scgi": "scgi_pass 127.0.0.1:{port:dead};",
    "fastcgi": "fastcgi_pass 127.0.0.1:{port:dead};",
    "grpc": "grpc_pass 127.0.0.1:{port:dead};",
    "if": "if ($request_method = GET) { proxy_pass http://127.0.0.1:{port:dead}; }",
    "internal": "internal; proxy_pass http://127.0.0.1:{port:dead};",
    "none": "return 202;",
}
SLASHED = ("location /x/", "location ^~ /x/", "location = /x/")
SIBLINGS = (
    "location /x { return 210; }",
    "location ^~ /x { return 211; }",
    "location = /x { return 212; }",
    "location / { return 213; }",
    "location = /x/ { return 214; }",
    "location ~ ^/x$ { return 215; }",
    "location ~ ^/x { return 216; }",
    "location ~ ^/x/ { return 217; }",
    "location /x/y { return 218; }",
    "location /x-y/ { proxy_pass http://127.0.0.1:{port:dead}; }",
    "location /w/ { proxy_pass http://127.0.0.1:{port:dead}; }",
)
AROUND = (
    "location / { %s }",
    "location /x { %s }",
    "location ^~ / { %s }",
    "location /x { %s location ~ ^/x$ { return 230; } } location ~ ^/x$ { return 231; }",
    "location / { %s location /x { return 232; } } location = /x { return 233; }",
)
PATHS = ("/x", "/x/", "/xy", "/x/z", "/x?q=1", "/x-y", "/w")


def _layouts():
    for passing, slashed in ((passing, slashed) for passing in PASSES for slashed in SLASHED):
        core = f"{slashed} {{ {PASSES[passing]} }}"
        yield core
        for sibling in SIBLINGS:
            yield f"{core} {sibling}"
            yield f"{sibling} {core}"
        for around in AROUND:
            yield around % core
    core = f"{SLASHED[0]} {{ {PASSES['proxy']} }}"
    for siblings in combinations(SIBLINGS, 2):
        yield " ".join((core, *siblings))
        for around in AROUND[2:]:
            yield around % " ".join((core, *siblings))
    for siblings in combinations(SIBLINGS, 3):
        yield " ".join((*siblings[:1], core, *siblings[1:]))


def _stands(layout):
    """Whether both take it: no name twice (some would do, on two levels), and nothing outside of what it stands in."""
    names = [each.partition("{")[0].strip().removeprefix("^~ ") for each in layout.split("location ")[1:]]
    plain = [name for name in names if not name.startswith("~")]
    outside = layout.startswith("location /x {") and not {"/", "/w/"}.isdisjoint(names)
    return len(plain) == len(set(plain)) and not outside


LAYOUTS = [layout for layout in dict.fromkeys(_layouts()) if _stands(layout)]


def _answers(start, layouts, dead):
    servers = "".join(
        f"server {{ listen 127.0.0.1:{{port:front}}; server_name s{number}; {layout} }}\n"
        for number, layout in enumerate(layouts)
    )
    front = start(
        f"http {{ server_names_hash_max_size 4096; server_names_hash_bucket_size 128; {servers} }}",
        ports={"dead": dead},
    )
    found = {}
    for number, layout in enumerate(layouts):
        with front.client() as client:
            for path in PATHS:
                client.send(f"GET {path} HTTP/1.1\r\nHost: s{number}\r\n\r\n")
                response = client.response()
                location = (response.header("location") or "").replace(f":{front.port('front')}", "")
                found[layout, path] = response.status, location
    return found


def test_there_are_enough_layouts():
    assert len(LAYOUTS) > 700


def test_the_path_without_the_slash_goes_where_nginx_sends_it(proxy, nginx):
    dead = free_port()
    ours, theirs = _answers(proxy, LAYOUTS, dead), _answers(nginx, LAYOUTS, dead)
    different = [
        f"{layout}\n    {path}: nginx {theirs[layout, path]}, here {answer}"
        for (layout, path), answer in ours.items()
        if answer != theirs[layout, path]
    ]
    assert not different, f"{len(different)} of {len(ours)}:\n" + "\n".join(different[:20])


@pytest.mark.parametrize("slashless", ["location /ws", "location ^~ /ws", "location = /ws"])
def test_a_websocket_is_not_redirected_away_from_its_own_location(proxy, ws_backend, slashless):
    front = proxy(
        f"""
        http {{
            server {{
                listen 127.0.0.1:{{port:front}};
                {slashless} {{
                    proxy_pass http://127.0.0.1:{{port:ws}};
                    proxy_http_version 1.1;
                    proxy_set_header Upgrade $http_upgrade;
                    proxy_set_header Connection "upgrade";
                }}
                location /ws/ {{ proxy_pass http://127.0.0.1:{{port:ws}}; }}
            }}
        }}
        """,
        ports={"ws": ws_backend.port},
    )
    with front.client() as client:
        client.send(
            "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert client.response().status == 101
