"""`location $variable`: what a variable is decides where a request goes."""

from __future__ import annotations

from typing import Any

import pytest

CONF = """
    http {{
        map $http_upgrade $socket {{ websocket 1; default ""; }}
        map $arg_kind $odd {{ odd 1; zero 0; }}
        map $remote_addr $known {{ 192.0.2.7 1; }}
        map $request_body $early {{ ~method 1; }}
        server {{
            listen 127.0.0.1:{{port:front}};
            {extra}
            location $socket {{ proxy_pass http://127.0.0.1:{{port:api}}; }}
            location $odd {{
                location /in/ {{ return 200 "odd in"; }}
                location $known {{ return 200 "odd known"; }}
                return 200 odd;
            }}
            location $early {{ return 200 early; }}
            location / {{ proxy_pass http://127.0.0.1:{{port:api}}/plain/; }}
            location /files {{ alias {{dir}}/files; }}
            location ^~ /final/ {{ return 200 final; }}
            location = /exact {{ return 200 exact; }}
            location ~ \\.php$ {{ return 200 php; }}
            location /guarded/ {{
                secure_link $arg_md5;
                secure_link_md5 "secret$uri";
                location $secure_link {{ return 200 let-in; }}
                return 403;
            }}
        }}
    }}
    """


@pytest.fixture(params=["", "set $x 1;", "set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;"])
def front(request: Any, proxy: Any, http_backend: Any) -> Any:
    return proxy(CONF.format(extra=request.param), ports={"api": http_backend.port})


def test_what_is_asked_decides(front: Any, http_backend: Any) -> None:
    assert front.get("/?kind=odd").text == "odd"
    assert front.get("/in/?kind=odd").text == "odd in"
    for path, text in {"/final/": "final", "/exact": "exact", "/x.php": "php"}.items():
        assert front.get(f"{path}?kind=odd").text == text
    front.get("/a?kind=zero")
    assert http_backend.requests[-1].target == "/plain/a?kind=zero"
    front.get("/a", headers={"Upgrade": "websocket"})
    assert http_backend.requests[-1].target == "/a", "a predicate replaces nothing of the path"


def test_what_a_level_says_holds_for_what_is_asked_in_it(front: Any) -> None:
    from base64 import urlsafe_b64encode
    from hashlib import md5

    assert front.get("/guarded/x").status == 403
    right = urlsafe_b64encode(md5(b"secret/guarded/x").digest()).decode().rstrip("=")
    assert front.get(f"/guarded/x?md5={right}").text == "let-in"
    assert front.get("/guarded/x?md5=AAAAAAAAAAAAAAAAAAAAAA").status == 403


def test_who_a_client_really_is_has_been_found_out(proxy: Any, http_backend: Any) -> None:
    conf = CONF.format(extra="set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;")
    front = proxy(conf, ports={"api": http_backend.port})
    assert front.get("/?kind=odd", headers={"X-Real-IP": "192.0.2.7"}).text == "odd known"
    assert front.get("/?kind=odd", headers={"X-Real-IP": "192.0.2.8"}).text == "odd"


def test_a_body_that_is_read_early_decides(proxy: Any, http_backend: Any) -> None:
    front = proxy(CONF.format(extra="client_body_early_read on;"), ports={"api": http_backend.port})
    assert front.get("/", method="POST", body=b'{"method": 1}').text == "early"
    front.get("/", method="POST", body=b"{}")
    assert http_backend.requests[-1].target == "/plain/"


def test_aliases_and_slashes_are_none_of_it(proxy: Any, http_backend: Any, tmp_path: Any) -> None:
    """An alias is the file, as in a location by regular expression; the name of a variable is no path."""
    (tmp_path / "one").write_text("one")
    front = proxy(
        """
        http {
            server {
                listen 127.0.0.1:{port:front};
                location $arg_file { alias FILES/$arg_file; }
                location $arg_x { proxy_pass http://127.0.0.1:{port:api}; }
            }
        }
        """.replace("FILES", str(tmp_path)),
        ports={"api": http_backend.port},
    )
    assert front.get("/any/path?file=one").text == "one"
    assert front.get("/arg_?x=1").status == 200
    assert http_backend.requests[-1].target == "/arg_?x=1"


def test_json_decides(proxy: Any, http_backend: Any) -> None:
    """What a body says in JSON, and a variable that holds itself, which is told of and is empty."""
    front = proxy(
        """
        http {
            client_body_early_read on;
            client_body_buffer_size 64k;
            json_set $method $request_body method;
            json_set $first $request_body params[0];
            json_set $arg $arg_data a.b;
            json_set $itself $itself a;
            json_max_depth 3;
            map $method $call { initialize 1; }
            log_format seen "$method";
            access_log seen.log seen;
            server {
                listen 127.0.0.1:{port:front};
                location $call { proxy_pass http://127.0.0.1:{port:api}; }
                location / { return 200 "[$method] [$first] [$arg] [$itself]"; }
            }
        }
        """,
        ports={"api": http_backend.port},
    )
    front.get("/x", method="POST", body=b'{"method": "initialize"}')
    assert http_backend.requests[-1].body == b'{"method": "initialize"}'
    body = b'{"method": "other", "params": [{"x": 1}]}'
    assert front.get('/?data={"a":{"b":"c"}}', method="POST", body=body).text == '[other] [{"x": 1}] [c] []'
    assert front.get("/", method="POST", body=b"no JSON").text == "[] [] [] []"
    assert front.get("/", method="POST", body=b'{"method": 1, "a": [[[1]]]}').text == "[] [] [] []"
    assert front.get("/", method="POST", body=b'{"method": "a\\r\\nX: b"}').text == "[a\r\nX: b] [] [] []"
    front.logged(r"a\\x0D\\x0AX: b", name="seen.log")
    assert front.access_log("seen.log").split("\n")[:3] == ["initialize", "other", "-"]
    assert "cycle while evaluating variable" in front.error_log()
