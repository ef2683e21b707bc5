"""Sessions that are resumed: where, for how long, and by whom not."""

import os
import ssl
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.raw import RawClient
from harness.waiting import eventually

SERVER = """
    worker_processes 2;
    http {
        ssl_certificate {value:crt};
        ssl_certificate_key {value:key};
        server {
            listen 127.0.0.1:{port:front} ssl;
            %s
            return 200 "$pid $ssl_session_reused";
        }
        %s
    }
    """


@pytest.fixture
def start(proxy, authority):
    pair = authority.issue("localhost")
    values = {"crt": pair.certificate, "key": pair.key}

    def begin(inside: str = "", outside: str = "", **options):
        return proxy(SERVER % (inside, outside), values=values, **options)

    return begin


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def client(request, authority) -> ssl.SSLContext:
    context = authority.client_context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion[request.param]
    return context


def ask(front, context, session=None, port=None):
    """(worker, "r" or ".", the session to come back with)."""
    with RawClient(front.port(port)) as raw:
        raw.socket = context.wrap_socket(raw.socket, server_hostname="localhost", session=session)
        raw.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        pid, reused = raw.response().text.split(" ")
        return pid, reused, raw.socket.session


def test_tickets_are_good_at_every_worker(start, client) -> None:
    front = start()
    _, reused, session = ask(front, client)
    assert reused == "."
    with ThreadPoolExecutor(8) as pool:  # several at once: one would always meet the same worker
        answers = list(pool.map(lambda _: ask(front, client, session)[:2], range(200)))
    assert {reused for _, reused in answers} == {"r"}
    assert len({pid for pid, _ in answers}) == 2


def test_without_tickets_and_cache_nothing_is_resumed(start, client) -> None:
    front = start("ssl_session_tickets off;")
    session = ask(front, client)[2]
    assert [ask(front, client, session)[1] for _ in range(5)] == ["."] * 5


def test_a_cache_serves_the_worker_that_keeps_it(start, client) -> None:
    front = start("ssl_session_tickets off; ssl_session_cache shared:one:1m;")
    first, _, session = ask(front, client)
    if client.maximum_version is ssl.TLSVersion.TLSv1_3:
        # A session of TLS 1.3 without tickets is taken out when it is used.
        def at_home() -> bool:
            nonlocal first, session
            pid, reused, fresh = ask(front, client, session)
            if pid == first:
                return reused == "r"
            first, session = pid, fresh
            return False

        eventually(at_home)
        return
    seen = {ask(front, client, session)[:2] for _ in range(20)}
    assert (first, "r") in seen


def test_a_key_file_outlives_a_restart(start, client) -> None:
    keys = {"new.key": os.urandom(80), "old.key": os.urandom(48)}
    text = "ssl_session_ticket_key old.key;"
    session = ask(start(text, files=keys), client)[2]
    again = start("ssl_session_ticket_key new.key; ssl_session_ticket_key old.key;", files=keys)
    _, reused, renewed = ask(again, client, session)
    assert reused == "r"
    only_new = start("ssl_session_ticket_key new.key;", files=keys)
    assert ask(only_new, client, session)[1] == "."
    assert ask(only_new, client, renewed)[1] == "r"


def test_a_zone_outlives_a_reload_and_is_shared(start, client) -> None:
    other = """
        server {
            listen 127.0.0.1:{port:other} ssl;
            ssl_session_cache shared:all:1m;
            return 200 "$pid $ssl_session_reused";
        }
        server {
            listen 127.0.0.1:{port:third} ssl;
            return 200 "$pid $ssl_session_reused";
        }
        """
    front = start("ssl_session_cache shared:all:1m;", other)
    session = ask(front, client, port="front")[2]
    assert ask(front, client, session, port="other")[1] == "r"
    assert ask(front, client, session, port="third")[1] == "."
    front.reload()
    assert ask(front, client, session, port="front")[1] == "r"


def test_other_certificates_mean_other_sessions(start, proxy, authority, client) -> None:
    """Ticket keys are shared, but a session is good for the certificates it was made with."""
    second = authority.issue("second.test", "localhost")
    other = f"""
        server {{
            listen 127.0.0.1:{{port:other}} ssl;
            ssl_certificate {second.certificate}; ssl_certificate_key {second.key};
            ssl_session_cache shared:all:1m;
            return 200 "$pid $ssl_session_reused";
        }}
        """
    front = start("ssl_session_cache shared:all:1m;", other)
    session = ask(front, client, port="front")[2]
    assert ask(front, client, session, port="other")[1] == "."


def test_sessions_age(start, client) -> None:
    import time

    front = start("ssl_session_timeout 3s;")
    session = ask(front, client)[2]
    assert ask(front, client, session)[1] == "r"
    time.sleep(4.1)
    assert ask(front, client, session)[1] == "."
