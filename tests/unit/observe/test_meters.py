"""What is counted for Prometheus, and the page it makes."""

from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from penstock.http.request import Attempt
from penstock.net.loop import new_loop
from penstock.observe.exposition import Shown, page
from penstock.observe.meters import Meters, new_labelled, new_rows
from penstock.observe.metric_names import LASTING, PLACES, WIDTH, code_of, redials_in, result_of, side_of, status_class
from penstock.shared.counters import Figures


@pytest.fixture
def loop():
    made = new_loop()
    yield made
    made.close()


class Plain(SimpleNamespace):
    __hash__ = object.__hash__


def talk():
    return Plain(messages_in=3, messages_out=4, close_code=1000, close_from="client", end_reason="closed")


def tunnel(opened=0.0, conversation=None, labels=("", "", "")):
    owner = Plain(conversation=conversation, labels=labels)
    return Plain(from_client=10, from_backend=20, opened=opened, owner=owner, transport="h1", portable=True)


CONNECTIONS = Figures(9, 9, 20, 4, 1, 2, 1)


def samples(meters: Meters) -> dict:
    shown = Shown(meters.sums(), CONNECTIONS, meters.by_peer(), meters.rows.living())
    families = text_string_to_metric_families(page(shown)[0].decode())
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


def test_a_tunnel_from_open_to_closed(loop) -> None:
    meters = Meters.of(new_rows(), new_labelled(), loop)
    one = tunnel(loop.timers.now, talk())
    meters.opened(0.003)
    loop.tunnels.add(one)
    live = samples(meters)
    assert live["penstock_tunnels_open",] == 1
    assert live["penstock_connections", "writing"] == 2
    assert live["penstock_connections_accepted_total",] == 9
    assert live["penstock_tunnel_bytes_total", "out"] == 20
    assert live["penstock_tunnel_messages_total", "in"] == 3
    loop.tunnels.remove(one)
    meters.ended(one, "CLIENT_CLOSED", one.owner.conversation)
    over = samples(meters)
    assert over["penstock_tunnels_open",] == 0
    assert over["penstock_tunnel_bytes_total", "out"] == 20
    assert over["penstock_tunnels_closed_total", "client", "1000"] == 1
    assert over["penstock_tunnel_ends_total", "closed"] == 1
    assert over["penstock_handshake_seconds_bucket", "0.0025"] == 0
    assert over["penstock_handshake_seconds_bucket", "0.005"] == over["penstock_handshake_seconds_count",] == 1
    assert over["penstock_handshake_seconds_sum",] == pytest.approx(0.003)


def test_a_tunnel_that_moves_is_counted_once(loop) -> None:
    rows, labelled = new_rows(), new_labelled()
    giver = Meters(rows, labelled, rows.share(), loop)
    one = tunnel(0.0, talk())
    loop.tunnels.add(one)
    giver.publish()
    loop.tunnels.remove(one)
    giver.gave(one, one.owner.conversation)
    giver.publish()
    taker = Meters(rows, labelled, rows.share(), loop)
    taker.took(one, one.owner.conversation)
    loop.tunnels.add(one)
    one.from_backend += 5
    found = samples(taker)
    assert found["penstock_tunnel_bytes_total", "out"] == 25
    assert found["penstock_tunnel_messages_total", "in"] == 3
    loop.tunnels.remove(one)
    taker.ended(one, "IDLE", one.owner.conversation)
    assert samples(taker)["penstock_tunnel_bytes_total", "out"] == 25


def test_no_word_of_a_peer_makes_the_page_longer(loop) -> None:
    meters = Meters.of(new_rows(), new_labelled(), loop)
    before = len(samples(meters))
    for code in range(70_000):
        conversation = talk()
        conversation.close_code, conversation.end_reason = code, f"reason {code}"
        meters.ended(tunnel(), "CLIENT_CLOSED", conversation)
    for status in range(1000):
        meters.answered(status)
    assert len(samples(meters)) - before < 40
    assert samples(meters)["penstock_tunnel_ends_total", "other"] == 70_000


CHAT = ("chat.example", "backends", "app:8000")
NOBODY = ("chat.example", "", "")


def of_peer(name: str, labels: tuple[str, str, str], **own: str) -> tuple[str, ...]:
    """A sample of a peer: its labels stand in the order of their names."""
    server, upstream, peer = labels
    found = {"server": server, "upstream": upstream, "peer": peer, **own}
    return (f"penstock_peer_{name}", *(found[label] for label in sorted(found)))


def test_what_a_peer_is_counted_under(loop) -> None:
    """A tunnel counts where it was opened; a handshake at every peer that was asked."""
    meters = Meters.of(new_rows(), new_labelled(), loop)
    failed, good = (Attempt(address, 0.0, CHAT[1:]) for address in ("10.0.0.1:8000", "10.0.0.2:8000"))
    good.status = 101
    meters.tried(CHAT[0], [failed, good], 101)
    meters.tried(CHAT[0], None, 403)
    one = tunnel(0.0, talk(), CHAT)
    loop.tunnels.add(one)
    live = samples(meters)
    assert live[of_peer("tunnels_open", CHAT)] == 1
    assert live[of_peer("handshakes_total", CHAT, result="failed")] == 1
    assert live[of_peer("handshakes_total", CHAT, result="101")] == 1
    assert live[of_peer("handshakes_total", NOBODY, result="4xx")] == 1
    loop.tunnels.remove(one)
    meters.ended(one, "CLIENT_CLOSED", one.owner.conversation, CHAT)
    over = samples(meters)
    assert over[of_peer("tunnels_open", CHAT)] == 0
    assert over[of_peer("tunnel_ends_total", CHAT, code="1000")] == 1
    assert samples(meters)[of_peer("tunnel_ends_total", CHAT, code="1000")] == 1, "what was told is not told again"


def test_what_the_kernel_says_of_this_worker(loop) -> None:
    meters = Meters.of(new_rows(), new_labelled(), loop)
    found = samples(meters)
    assert found["penstock_worker_resident_bytes", "1"] > 1 << 20
    assert 3 <= found["penstock_worker_descriptors", "1"] <= found["penstock_worker_descriptors_limit", "1"]


def test_times_beyond_every_bound(loop) -> None:
    meters = Meters.of(new_rows(), new_labelled(), loop)
    meters.ponged(1e6)
    meters.ponged(-1.0)
    found = samples(meters)
    assert found["penstock_ping_seconds_bucket", "+Inf"] == 2
    assert found["penstock_ping_seconds_bucket", "10.0"] == 1
    assert found["penstock_ping_seconds_sum",] == 1e6


def test_names() -> None:
    assert [code_of(code) for code in (1000, 1004, 2999, 3000, 4999, 5000)] == [
        "1000", "other", "other", "3xxx", "4xxx", "other",
    ]  # fmt: skip
    assert [side_of(name) for name in ("CLIENT_RESET", "BACKEND_CLOSED", "IDLE")] == ["client", "backend", "proxy"]
    assert [result_of(status) for status in (0, 101, 200, 403, 502)] == ["failed", "101", "2xx", "4xx", "5xx"]
    assert [status_class(status) for status in (101, 204, 499, 599, 0)] == ["1xx", "2xx", "4xx", "5xx", "5xx"]
    assert len(set(PLACES.values())) == len(PLACES)
    assert max(PLACES.values()) < WIDTH and LASTING < WIDTH


def test_redials_by_what_became_of_them(loop) -> None:
    meters = Meters.of(new_rows(), new_labelled(), loop)
    assert redials_in(meters.sums()) == {}
    for result in ("continued", "moved", "moved", "failed"):
        meters.redialled(result)
    assert redials_in(meters.sums()) == {"continued": 1, "moved": 2, "failed": 1}
