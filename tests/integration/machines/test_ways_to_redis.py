"""How a fleet's Redis is reached: over TLS, as a user with a password, by Sentinels, in a cluster, at a unix socket."""

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from conftest import Launcher
from harness.machines import BASE, counted, joined, open_tunnel
from harness.ports import free_port
from harness.redis_server import RedisServer, redis_program
from harness.waiting import eventually

pytest.importorskip("redis")

NODE = """
fleet {value:address} lease=2s timeout=500ms {value:more};
http {
    limit_conn_zone $arg_user zone=users:1m sync;
    limit_req_zone $arg_s zone=rates:1m rate=1r/m sync;
    websocket_quota_zone $arg_s zone=quotas:1m sync;
    upstream all {
        server 127.0.0.1:{port:ws};
        server 127.0.0.1:{port:ws} backup;
        sticky learn create=$arg_s lookup=$arg_s zone=sessions:64k sync;
    }
    server {
        listen 127.0.0.1:{port:front};
        limit_conn_status 429;
        location /all {
            websocket auto;
            limit_req zone=rates burst=5 nodelay;
            websocket_quota quotas messages=9/d;
            proxy_pass http://all;
        }
        location /status { status; }
        location / { websocket auto; limit_conn users 2; proxy_pass http://127.0.0.1:{port:ws}; }
    }
}
"""
PASSWORD = "S3cr3t-of-the-fleet"
OF_SENTINELS = "An0ther-of-the-sentinels"
PAGE = Path(__file__).parents[3] / "docs" / "fleet.md"


def user_of_the_page() -> list[str]:
    """The words behind `ACL` by which the documentation makes the fleet's user."""
    found = re.search(r"^ACL (SETUSER penstock .*?)\n```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1].replace(">secret", f">{PASSWORD}").replace("{penstock:edge}", BASE).split()


@pytest.fixture
def machine(proxy: Launcher, ws_backend: Any) -> Any:
    def start(address: str, more: str = "") -> Any:
        return proxy(NODE, ports={"ws": ws_backend.port}, values={"address": address, "more": more})

    return start


def penstock(front: Any, *words: str) -> Any:
    command = [*front.binary.command, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def holds_the_limit(fronts: list[Any], user: str = "a") -> list[Any]:
    """Two tunnels of a user are let in, whichever machine is asked, and no more."""
    found = [open_tunnel(fronts[turn % len(fronts)], f"/?user={user}") for turn in range(4)]
    assert [each is not None for each in found] == [True, True, False, False]
    return [each for each in found if each is not None]


def test_tls_and_a_user(machine: Any, authority: Any, tmp_path: Path) -> None:
    pair = authority.issue("localhost")
    port = free_port()
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    words = ("--tls-port", str(port), "--tls-cert-file", str(pair.certificate), "--tls-key-file", str(pair.key))
    words += ("--tls-ca-cert-file", str(authority.certificate), "--tls-auth-clients", "no")
    with RedisServer(*words) as redis:
        client = redis.client()
        client.execute_command("ACL", *user_of_the_page())
        more = f"user=penstock password_file={tmp_path}/password ca={authority.certificate}"
        fronts = [machine(f"rediss://localhost:{port}/0", more) for _ in range(2)]
        joined(redis, 2)
        kept = holds_the_limit(fronts)
        with connect(f"ws://127.0.0.1:{fronts[0].port()}/all?s=x") as talk:
            talk.send("counted")
            assert talk.recv() == "counted"
            eventually(lambda: client.keys(f"{BASE}:q:*"))
        assert client.keys(f"{BASE}:r:*")
        assert client.keys(f"{BASE}:s:*")
        told = penstock(fronts[0], "tunnels", "--fleet", "--json", "--socket", f"{fronts[0].directory}/nginx.control")
        assert json.loads(told.stdout)["machines"] == 2
        # Nothing that it does is refused to that user.
        assert client.acl_log() == []
        names = {each["user"] for each in client.client_list()}
        assert names == {"penstock", "default"}
        other = machine(f"rediss://127.0.0.1:{port}/0", more)
        eventually(lambda: "certificate" in other.error_log().lower(), why="it is for another name")
        (tmp_path / "password").write_text("another\n")
        wrong = machine(f"rediss://localhost:{port}/0", more)
        eventually(lambda: "invalid username-password pair" in wrong.error_log())
        told = penstock(wrong, "-T", "--compiled", "-c", f"{wrong.directory}/nginx.conf")
        shown = [told.stdout, told.stderr, fronts[0].get("/status").text]
        shown += [each.error_log() for each in (*fronts, other, wrong)]
        assert "password_file=" in told.stdout
        assert not any(PASSWORD in each for each in shown)
        assert len(kept) == 2


def test_a_unix_socket(machine: Any, tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with RedisServer("--unixsocket", str(path)) as redis:
        fronts = [machine(f"unix://{path}") for _ in range(2)]
        joined(redis, 2)
        assert holds_the_limit(fronts)


@contextmanager
def sentinel(master: RedisServer, folder: Path, more: str = "") -> Iterator[int]:
    """A Sentinel that decides alone; its port. `more` are lines of its configuration, `{port}` in them its port."""
    port = free_port()
    file = folder / "sentinel.conf"
    file.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor mymaster 127.0.0.1 {master.port} 1\n"
        f"{more.format(port=port)}"
        "sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 5000\n"
    )
    quiet = subprocess.DEVNULL
    with subprocess.Popen([redis_program(), str(file), "--sentinel"], stdin=quiet, stdout=quiet, stderr=quiet) as it:
        try:
            yield port
        finally:
            it.kill()


def said_by(port: int, *words: str) -> Any:
    import redis

    client = redis.Redis(host="127.0.0.1", port=port)
    try:
        return client.execute_command(*words)
    except redis.ConnectionError:
        return None
    finally:
        client.close()


def test_sentinels_say_who_has_the_keys_now(machine: Any, tmp_path: Path) -> None:
    with RedisServer() as master, RedisServer("--replicaof", "127.0.0.1", str(master.port)) as replica:
        eventually(lambda: up(replica), why="it follows the master")
        with sentinel(master, tmp_path) as port:
            eventually(lambda: said_by(port, "SENTINEL", "REPLICAS", "mymaster"), 30.0, why="it knows the replica")
            fronts = [machine("redis://mymaster/0", f"sentinel=127.0.0.1:1,127.0.0.1:{port}") for _ in range(2)]
            joined(master, 2)
            kept = holds_the_limit(fronts)
            master.kill()
            # What the replica has copied looks as if they had joined it.
            eventually(lambda: all(map(found_again, fronts)), 30.0, why="both have told what they hold")
            assert counted(replica) == 2
            assert open_tunnel(fronts[0], "/?user=a") is None
            kept.pop().close()
            eventually(lambda: open_tunnel(fronts[1], "/?user=a"))


def test_sentinels_let_in_whom_they_know(machine: Any, authority: Any, tmp_path: Path) -> None:
    """Over TLS and with a password of their own, which is not the one of Redis."""
    pair = authority.issue("localhost")
    (tmp_path / "redis").write_text(f"{PASSWORD}\n")
    (tmp_path / "sentinels").write_text(f"{OF_SENTINELS}\n")
    (tmp_path / "wrong").write_text(f"{OF_SENTINELS}-not\n")
    with RedisServer("--requirepass", PASSWORD) as master:
        lines = (
            f"port 0\ntls-port {{port}}\ntls-cert-file {pair.certificate}\ntls-key-file {pair.key}\n"
            f"tls-ca-cert-file {authority.certificate}\ntls-auth-clients no\nrequirepass {OF_SENTINELS}\n"
            f"sentinel auth-pass mymaster {PASSWORD}\n"
        )
        with sentinel(master, tmp_path, lines) as port:
            known = f"password_file={tmp_path}/redis ca={authority.certificate} sentinel=localhost:{port}"
            secured = f"{known} sentinel_password_file={tmp_path}/sentinels sentinel_tls"
            front = machine("redis://mymaster/0", secured)
            eventually(lambda: fleet(front)["state"] == "up", 30.0)
            assert master.client(password=PASSWORD).zcard(f"{BASE}:l") == 1
            named = machine("redis://mymaster/0", f"{secured} sentinel_user=default name=other")
            eventually(lambda: fleet(named)["state"] == "up", 30.0)
            wrong = [
                machine("redis://mymaster/0", f"{known} sentinel_password_file={tmp_path}/wrong sentinel_tls"),
                machine("redis://mymaster/0", f"{known} sentinel_tls"),
                machine("redis://mymaster/0", f"{known} sentinel_password_file={tmp_path}/sentinels"),
                machine("redis://mymaster/0", secured.replace("localhost", "127.0.0.1")),
            ]
            for each in wrong:
                eventually(lambda each=each: "can not be reached" in each.error_log())
                assert fleet(each)["state"] != "up"
            told = penstock(front, "-T", "--compiled", "-c", f"{front.directory}/nginx.conf")
            assert "sentinel_password_file=" in told.stdout
            shown = [told.stdout, told.stderr, front.get("/status").text]
            shown += [each.error_log() for each in (front, named, *wrong)]
            assert not any(secret in each for each in shown for secret in (PASSWORD, OF_SENTINELS))


def fleet(front: Any) -> Any:
    """What a machine says of the fleet."""
    return json.loads(front.get("/status").body)["fleet"]


def found_again(front: Any) -> bool:
    """Whether a machine has lost Redis, and is one of two that have told all there is."""
    told = fleet(front)
    return bool(told["losses"] and told["state"] == "up" and told["machines"] == 2 and told["sure"])


def up(replica: RedisServer) -> bool:
    return bool(replica.client().info("replication").get("master_link_status") == "up")


def in_cluster() -> RedisServer:
    return RedisServer("--cluster-enabled", "yes", "--cluster-port", str(free_port()))


def test_a_node_of_a_cluster_has_the_keys(machine: Any) -> None:
    with in_cluster() as one, in_cluster() as two:
        slot = said_by(one.port, "CLUSTER", "KEYSLOT", BASE)
        assert slot < 16383
        ids = [said_by(each.port, "CLUSTER", "MYID").decode() for each in (one, two)]
        said_by(one.port, "CLUSTER", "ADDSLOTSRANGE", str(slot + 1), "16383")
        said_by(two.port, "CLUSTER", "ADDSLOTSRANGE", "0", str(slot))
        bus = two._more[-1]
        said_by(one.port, "CLUSTER", "MEET", "127.0.0.1", str(two.port), bus)
        for each in (one, two):
            eventually(lambda each=each: b"cluster_state:ok" in said_by_raw(each), 30.0, why="the cluster is whole")
        fronts = [machine(f"redis://127.0.0.1:{one.port}/0", "cluster") for _ in range(2)]
        joined(two, 2)
        kept = holds_the_limit(fronts)
        # The slot moves to the other node: workers are told so by an error, and follow.
        two.client().flushall()
        for each in (two, one):
            said_by(each.port, "CLUSTER", "SETSLOT", str(slot), "NODE", ids[0])
        joined(one, 2)
        eventually(lambda: counted(one) == 2, 20.0, why="each tells what it holds")
        assert open_tunnel(fronts[0], "/?user=a") is None
        assert len(kept) == 2


def said_by_raw(server: RedisServer) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), 5) as sock:
        sock.sendall(b"CLUSTER INFO\r\n")
        return sock.recv(4096)
