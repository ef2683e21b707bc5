"""A plan that has settled has no cycles: whoever lets go of it frees it, without a collection."""

import gc
import weakref

import pytest

from penstock.modules.load import load
from penstock.modules.release import pieces, release
from penstock.plan.location import Location
from penstock.server.straight.way import way_through

WIDE = """
    worker_shutdown_timeout 5s;
    events { }
    http {
        log_format main '$remote_addr $kind $upstream_addr $bytes_sent $new';
        map $http_upgrade $connection_upgrade { default upgrade; '' close; }
        map $host$uri $new { default 1; *.a.test 2; ~^/x(?<rest>.*)$ $rest; }
        geo $kind { default 0; 127.0.0.0/8 1; }
        split_clients $remote_addr $half { 50% a; * b; }
        limit_req_zone $binary_remote_addr zone=rate:1m rate=10r/s;
        limit_conn_zone $server_name zone=count:1m;
        websocket_drain 30s code=1012;
        access_log access-$host.log main if=$kind;
        upstream app { zone app 64k; least_conn; server 127.0.0.1:9000 max_conns=3; keepalive 4; }
        upstream hashed { hash $cookie_a consistent; server 127.0.0.1:9002; server 127.0.0.1:9003 weight=4; }
        upstream stuck { sticky cookie srv expires=1h; server 127.0.0.1:9002; }
        upstream random { random two least_conn; server 127.0.0.1:9002; server unix:/nowhere.sock; }
        upstream by_client { ip_hash; server 127.0.0.1:9002; }
        real_ip_header X-Forwarded-For;
        set_real_ip_from 10.0.0.0/8;
        gzip on;
        server {
            LISTEN
            server_name a.test *.b.test ~^(?<who>.+)\\.c\\.test$;
            error_page 404 = @named;
            error_page 500 502 /err.html;
            limit_conn count 10;
            if ($host = x) { return 301 https://$host$request_uri; }
            location / {
                limit_req zone=rate burst=5;
                proxy_pass http://app;
                proxy_set_header X $new;
                proxy_redirect ~^http://x(.*)$ https://y$1;
                proxy_cookie_domain a b;
                add_header A $half always;
            }
            location /v { set $there app; proxy_pass http://$there; proxy_bind $remote_addr transparent; }
            location = /status { stub_status; allow 127.0.0.1; deny all; }
            location ~ \\.php$ { uwsgi_pass 127.0.0.1:3031; uwsgi_param A $new$uri; }
            location ^~ /ssi {
                ssi on;
                sub_filter a b;
                auth_basic x;
                auth_basic_user_file users-$host;
                location /ssi/in { if ($arg_a) { return 403; } }
            }
            location @named { rewrite ^/(.*)$ /x/$1 last; }
            location /auth { auth_request /sub; satisfy any; mirror /m; proxy_pass https://hashed; proxy_ssl_name x; }
            location /m { internal; proxy_pass http://hashed$request_uri; }
            location /chat { websocket auto; websocket_ping 5s; proxy_pass http://stuck; limit_except PUT { deny all; }}
            location /scgi { scgi_pass 127.0.0.1:4000; }
            location /h2 { proxy_http_version 2; proxy_pass http://random; }
            location /by { proxy_pass http://by_client/; expires $new; }
            location /metrics { metrics; }
        }
        server { listen 127.0.0.1:8442 default_server; listen unix:/nowhere/front.sock; return 200 $kind$who; }
    }
    """

STRAIGHT = """
    events { }
    http {
        log_format main '$remote_addr $upstream_addr';
        access_log access.log main;
        upstream app { zone app 64k; server 127.0.0.1:9000; keepalive 4; }
        server {
            listen 127.0.0.1:8441;
            location / { proxy_pass http://app; proxy_set_header X $host; }
            location /chat { websocket auto; proxy_pass http://app; }
        }
    }
    """

TLS = """
    listen 127.0.0.1:8441 ssl;
    http2 on;
    ssl_certificate {pair.certificate};
    ssl_certificate_key {pair.key};
    ssl_session_cache shared:all:1m;
    ssl_certificate_watch on;
    ssl_verify_client optional;
    ssl_client_certificate {pair.certificate};
    """


@pytest.fixture(params=["plain", "tls"])
def path(request, tmp_path, authority) -> str:
    listen = "listen 127.0.0.1:8441;" if request.param == "plain" else TLS.format(pair=authority.issue("a.test"))
    found = tmp_path / "site.conf"
    found.write_text(WIDE.replace("LISTEN", listen))
    return str(found)


@pytest.fixture
def no_collections():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_who_lets_go_of_a_plan_frees_it(path, tmp_path, no_collections) -> None:
    release(load(path, prefix=f"{tmp_path}/"))  # what is made once, and kept
    gc.collect()
    plan = load(path, prefix=f"{tmp_path}/")
    release(plan)
    gone = [weakref.ref(each) for server in plan.servers for each in server.root.values()]
    del plan
    assert [each() for each in gone if each() is not None] == []
    assert gc.collect() == 0


def test_what_is_made_at_the_first_request_is_freed_too(tmp_path, no_collections) -> None:
    """It is set aside with all that is there at the next reload, where no collection would find it."""
    path = tmp_path / "straight.conf"
    path.write_text(STRAIGHT)
    plan = load(str(path), prefix=f"{tmp_path}/")
    release(plan)
    server = plan.servers[0]
    locations = [each for each in pieces(plan) if isinstance(each, Location)]
    ways = [way_through(server, each) for each in locations]
    assert sum(way is not None for way in ways) == 2
    gone = [weakref.ref(way.passing) for way in ways if way is not None]
    gone += [weakref.ref(each) for server in plan.servers for each in server.root.values()]
    del plan, server, locations, ways
    assert [each() for each in gone if each() is not None] == []
    assert gc.collect() == 0


def test_who_has_a_part_keeps_that(path, tmp_path) -> None:
    plan = load(path, prefix=f"{tmp_path}/")
    release(plan)
    server = plan.servers[0]
    held = list(pieces(plan))
    assert held[0] is server and server.root in held
    del plan
    held.reverse()
    while held:
        held.pop()
    assert server.locations is not None
    assert {each.name for each in server.locations.all} >= {"/", "/chat", "/metrics"}
