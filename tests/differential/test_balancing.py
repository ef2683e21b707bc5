"""A fleet may be mixed: a thousand keys and addresses reach the same servers through nginx and through Penstock.

Servers that are dead with `max_fails=0` show in $upstream_addr, and so does the order in which others are tried.
"""

import http.client
import random
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv6Address

import pytest

from harness.binary import Binary, nginx, penstock
from harness.ports import free_port
from harness.proxy import Proxy

KEYS = 1000
NAMES = "abcdef"

SERVERS = """
        server 127.0.0.1:{port:a};
        server 127.0.0.1:{port:b} weight=3;
        server 127.0.0.1:{port:c} max_fails=0;
        server 127.0.0.1:{port:d} weight=2;
        server 127.0.0.1:{port:e} down;
        server 127.0.0.1:{port:f};
"""
CONFIGURATION = f"""
events {{}}
http {{
    access_log off;
    upstream ip_hash    {{ ip_hash; {SERVERS} }}
    upstream hash       {{ hash $arg_k; {SERVERS} }}
    upstream consistent {{ hash $arg_k consistent; {SERVERS} }}
    upstream round      {{ {SERVERS} }}
    upstream backups    {{ least_conn; server 127.0.0.1:{{port:c}} max_fails=0; server 127.0.0.1:{{port:a}} backup;
                           server 127.0.0.1:{{port:b}} backup weight=2; }}
    server {{
        listen 127.0.0.1:{{port:a}};
        listen 127.0.0.1:{{port:b}};
        listen 127.0.0.1:{{port:d}};
        listen 127.0.0.1:{{port:f}};
        location / {{ return 204; }}
    }}
    server {{
        listen 127.0.0.1:{{port:front}};
        set_real_ip_from 127.0.0.1;
        keepalive_requests 100000;
        add_header X-Tried $upstream_addr always;
        location ~ ^/(?<group>.+)$ {{ proxy_pass http://$group; }}
    }}
}}
"""


def asked() -> Iterator[tuple[str, str]]:
    """Path and client address of every request, in an order that is always the same."""
    chance = random.Random(20)
    for number in range(KEYS):
        yield "/ip_hash", str(IPv4Address(chance.getrandbits(32)))
        yield "/ip_hash", str(IPv6Address(chance.getrandbits(128)))
        key = chance.choice([f"user-{number}", f"{number}", f"{chance.getrandbits(64):x}", "%7E" * (number % 7)])
        yield f"/hash?k={key}", ""
        yield f"/consistent?k={key}", ""
        if not number % 10:
            yield "/round", ""
            yield "/backups", ""


def tried(binary: Binary, ports: dict[str, int]) -> list[str]:
    """Where each request was tried."""
    with ExitStack() as stack:
        proxy = stack.enter_context(Proxy(CONFIGURATION, binary, ports={**ports, "front": free_port()}))
        client = http.client.HTTPConnection("127.0.0.1", proxy.ports["front"], timeout=10)
        stack.callback(client.close)
        found = []
        for path, address in asked():
            client.request("GET", path, headers={"X-Real-IP": address} if address else {})
            answer = client.getresponse()
            answer.read()
            found.append(f"{path} {address}: {answer.status} {answer.getheader('X-Tried')}")
        return found


@pytest.mark.timeout(120)
def test_the_same_keys_reach_the_same_servers() -> None:
    ports = {name: free_port() for name in NAMES}
    theirs, ours = tried(nginx(), ports), tried(penstock(), ports)
    differing = [f"nginx {one}, Penstock {other}" for one, other in zip(theirs, ours, strict=True) if one != other]
    assert differing == []
    dead = f"127.0.0.1:{ports['c']}, "
    assert sum(dead in line for line in theirs) > KEYS // 4
