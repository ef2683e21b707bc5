"""Clients whose network is gone: no FIN, no RST, no ICMP, every packet is dropped. Only a ping finds out."""

import subprocess
import sys
import time

import pytest

from harness.backends import hold, pause
from harness.proxy import in_http
from harness.waiting import eventually
from harness.wire import CLOSE, TEXT, codes, heard, plain, switch

FRONT = in_http(
    """
    log_format ws '$request_uri $websocket_close_code $websocket_close_from $websocket_end_reason';
    access_log access.log ws;
    server {
        listen {value:here}:{port:front};
        websocket auto;
        websocket_ping 300ms timeout=2s;
        websocket_close_timeout 500ms;
        location / { proxy_pass http://127.0.0.1:{port:back}; }
    }
    """
)
CLIENT = """
import sys
from websockets.sync.client import connect
with connect(sys.argv[1], compression=None, proxy=None) as client:
    print(client.recv(), flush=True)
    while True:
        client.recv()
"""


def talk_on(talk) -> None:
    """Messages as fast as they are taken, for as long as they are."""
    data = plain(b"z" * 4096, TEXT) * 16
    talk.socket.settimeout(20)
    while True:
        talk.socket.sendall(data)


@pytest.mark.parametrize("backend_says", ["nothing", "now and then", "all it can"])
def test_a_client_whose_network_vanishes(vanishing, proxy, raw_backend, backend_says) -> None:
    script = {
        "nothing": [hold],
        "now and then": [step for _ in range(200) for step in (pause(0.1), plain(b"tick", TEXT))],
        "all it can": [pause(0.3), talk_on],
    }
    backend = raw_backend([switch, plain(b"hello", TEXT), *script[backend_says]])
    front = proxy(FRONT, ports={"back": backend.port}, values={"here": vanishing.here})
    url = f"ws://{vanishing.here}:{front.port()}/chat"
    command = vanishing.command(sys.executable, "-c", CLIENT, url)
    client = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert client.stdout is not None and client.stdout.readline() == b"hello\n"
        time.sleep(1.5)
        assert not backend.conversations[0].ended.is_set(), "it answers its pings, and stays"
        vanishing.vanish()
        went = time.monotonic()
        front.logged(r"^/chat 1001 proxy client_ping_timeout$")
        assert time.monotonic() - went < 15, "within ping and timeout, and what a busy machine adds"
        assert client.poll() is None, "it has not been told"
        if backend_says == "nothing":
            eventually(lambda: codes(heard(backend.conversations[0])) == [1001])
            assert [kind for kind, _ in heard(backend.conversations[0])] == [CLOSE]
    finally:
        client.kill()
        client.communicate()


def test_without_a_ping_it_is_still_there(vanishing, proxy, raw_backend) -> None:
    """What the pings are for: nothing else notices."""
    backend = raw_backend([switch, plain(b"hello", TEXT), hold])
    without = FRONT.replace("websocket_ping 300ms timeout=2s;", "")
    front = proxy(without, ports={"back": backend.port}, values={"here": vanishing.here})
    url = f"ws://{vanishing.here}:{front.port()}/chat"
    client = subprocess.Popen(vanishing.command(sys.executable, "-c", CLIENT, url), stdout=subprocess.PIPE)
    try:
        assert client.stdout is not None and client.stdout.readline() == b"hello\n"
        vanishing.vanish()
        time.sleep(2)
        assert not backend.conversations[0].ended.is_set() and not front.access_log()
    finally:
        client.kill()
        client.communicate()
