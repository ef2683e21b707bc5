"""Whatever machines, Redis and the way between them do: no key has more places than its limit, and soon all is exact.

The scripts run in a real redis-server; machines are the holdings and leases of workers, without their sockets. No time
has to pass: leases end, and clocks jump, by what is written into Redis in place of waiting.
"""

import struct

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from harness.redis_server import RedisServer
from penstock.modules.fleet import lease as brings
from penstock.modules.fleet import scripts
from penstock.modules.fleet.holdings import Holdings
from penstock.modules.fleet.lease import Lease
from penstock.modules.fleet.membership import FleetOptions
from penstock.net.redis.opening import RedisAddress

pytest.importorskip("redis")

KEYS = [bytes([number]) * 16 for number in range(2)]
LIMIT = 3
LEASE = 10.0
BASE = "{penstock:penstock}"


class Node:
    """A worker: what it holds, what it waits for, and what it has sent that was not delivered."""

    def __init__(self, name: str) -> None:
        self.options = FleetOptions(RedisAddress("x", 1), node=name, lease=LEASE, on_error="closed")
        self.lease = Lease(self.options)
        self.holdings = Holdings()
        self.cut = False
        self.left: list[bytes] = []
        self.all_due = True


class Agreement(RuleBasedStateMachine):
    server: RedisServer

    @initialize()
    def begin(self) -> None:
        self.redis = self.server.client()
        self.redis.flushall()
        for script in scripts.ALL:
            self.redis.script_load(script.text)
        self.nodes = [Node(f"n{number}") for number in range(3)]
        self.serial = 3
        self.beyond: dict[bytes, int] = {}

    # -- what machines do

    def call(self, node, script, packed, left=b""):
        base = node.options.base
        keys = [base, base + b":l", base + b":l:" + node.lease.own, base + b":t"]
        more = left if script is scripts.enter else node.lease.own
        return self.redis.evalsha(script.sha, len(keys), *keys, packed, more)

    def renew(self, node) -> None:
        if node.cut:
            return
        self.flush(node)
        if node.all_due:
            self.tell_all(node, brings.ALL)
            return
        truth = node.holdings.pack(node.holdings.some_doubtful())
        if self.call(node, scripts.renew, node.lease.renewal(brings.RENEW, truth))[0] == -1:
            self.tell_all(node, brings.ALL)

    def tell_all(self, node, what) -> None:
        for _ in range(5):
            node.left = []
            replies = []
            kind = what
            for batch in node.holdings.batches():
                packed = node.lease.renewal(kind, node.holdings.pack(batch))
                replies.append(self.call(node, scripts.renew, packed)[0])
                kind = brings.MORE
            if replies == [1] * len(replies):
                node.all_due = False
                return
        raise AssertionError("the truth is not taken")

    def flush(self, node) -> None:
        if node.left and not node.cut:
            left, node.left = node.left, []
            self.call(node, scripts.leave_places, b"".join(left))

    def enter(self, node, key, *, answered) -> None:
        packed = bytes((1, 0)) + struct.pack("<16sI", key, LIMIT)
        if node.cut or node.all_due:
            return  # on_error=closed
        left, node.left = node.left, []
        node.holdings.ask((key,))
        verdict = self.call(node, scripts.enter, packed, b"".join(left))[0]
        node.holdings.hear((key,))
        if not answered:
            node.holdings.doubtful.add(key)
        elif verdict == 1:
            node.holdings.hold((key,))
        elif verdict == -1:
            self.renew(node)

    node = st.integers(0, 2)
    key = st.sampled_from(KEYS)

    @rule(node=node, key=key, answered=st.booleans())
    def handshake(self, node, key, answered) -> None:
        self.enter(self.nodes[node], key, answered=answered)

    @rule(node=node, key=key)
    def tunnel_ends(self, node, key) -> None:
        it = self.nodes[node]
        if it.holdings.held.get(key):
            it.holdings.leave((key,))
            if it.cut:
                it.holdings.doubtful.add(key)
            else:
                it.left.append(key)

    @rule(node=node)
    def renews(self, node) -> None:
        self.renew(self.nodes[node])

    # -- what happens to them

    @rule(node=node)
    def killed(self, node) -> None:
        """Its tunnels are gone at once, and its places when its lease is over."""
        self.nodes[node] = Node(f"n{self.serial}")
        self.serial += 1

    @rule(node=node)
    def leaves(self, node) -> None:
        it = self.nodes[node]
        if not it.cut:
            self.call(it, scripts.go, b"")
        self.killed(node)

    @rule(node=node)
    def way_is_cut(self, node) -> None:
        it = self.nodes[node]
        it.cut = True
        it.holdings.doubtful.update(it.left)
        it.left = []

    @rule(node=node)
    def way_is_back(self, node) -> None:
        it = self.nodes[node]
        if it.cut:
            it.cut = False
            # What it held while others could not know of it may be more than there should be.
            for key, count in it.holdings.held.items():
                self.beyond[key] = self.beyond.get(key, 0) + count
            self.tell_all(it, brings.ALL)

    # -- what happens to Redis

    @rule()
    def flushed(self) -> None:
        self.redis.flushall()

    @rule()
    def scripts_are_forgotten(self) -> None:
        self.redis.script_flush()
        for script in scripts.ALL:
            self.redis.script_load(script.text)

    @rule(which=st.sampled_from(["sums", "leases", "own", "generation"]), node=node)
    def evicted(self, which, node) -> None:
        own = f"{BASE}:l:{self.nodes[node].lease.name}"
        self.redis.delete({"sums": f"{BASE}:t", "leases": f"{BASE}:l", "own": own, "generation": BASE}[which])
        # Nobody notices an eviction before the next renewal.
        for each in self.nodes:
            self.renew(each)

    def settle(self) -> None:
        """Half a lease passes, in which all who can renew do."""
        for _ in range(2):
            for each in self.nodes:
                self.renew(each)
        self.redis.hset(BASE, "sure", 0)

    @rule()
    def time_passes(self) -> None:
        self.settle()

    @rule(dead=st.booleans())
    def a_lease_passes(self, dead) -> None:
        """Who was killed is dead for Redis now; so is who was cut off, whose tunnels go on."""
        living = {each.lease.own for each in self.nodes if not each.cut}
        for name in self.redis.zrange(f"{BASE}:l", 0, -1):
            if name not in living:
                self.redis.zadd(f"{BASE}:l", {name: 1})
        self.settle()

    @rule(by=st.sampled_from([-3.0, 3.0]))
    def clock_jumps(self, by) -> None:
        """Redis's clock goes ahead or back by three leases: all that it has noted is that much older or younger."""
        shift = by * LEASE * 1000
        last = self.redis.hget(BASE, "last")
        if last is None:
            return
        self.redis.hset(BASE, "last", float(last) - shift)
        for name, end in self.redis.zrange(f"{BASE}:l", 0, -1, withscores=True):
            self.redis.zadd(f"{BASE}:l", {name: end - shift})
        for each in self.nodes:
            self.renew(each)

    # -- what holds

    @invariant()
    def no_key_has_more_than_its_limit(self) -> None:
        for key in KEYS:
            # Of a machine that is cut off Redis knows nothing once its lease is over.
            held = sum(each.holdings.held.get(key, 0) for each in self.nodes if not each.cut)
            assert held <= LIMIT + self.beyond.get(key, 0)

    def teardown(self) -> None:
        """Once all reach Redis again, and a lease has passed, its counts are the truth."""
        if not hasattr(self, "nodes"):
            return
        for number in range(3):
            self.way_is_back(number)
        self.a_lease_passes(True)
        self.a_lease_passes(True)
        for _ in range(3):
            for each in self.nodes:
                self.enter(each, b"z" * 16, answered=False)
                self.renew(each)
        told = {key: int(count) for key, count in self.redis.hgetall(f"{BASE}:t").items()}
        truth: dict[bytes, int] = {}
        for each in self.nodes:
            assert each.holdings.doubtful == set()
            for key, count in each.holdings.held.items():
                truth[key] = truth.get(key, 0) + count
        told.pop(b"z" * 16, None)
        assert told == truth
        self.redis.close()


def test_machines_agree() -> None:
    with RedisServer() as server:
        Agreement.server = server
        from hypothesis.stateful import run_state_machine_as_test

        run_state_machine_as_test(
            Agreement, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
        )
