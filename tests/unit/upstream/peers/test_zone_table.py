"""What workers share of their peers: one sum, one writer per column, and nothing left of a worker that was killed."""

import os
import signal

import pytest

from penstock.upstream.peers.balancers import LeastConn
from penstock.upstream.peers.group import Group
from penstock.upstream.peers.peers import ServerOptions
from penstock.upstream.peers.zone_table import RECORD, PeerTable, SharedPeer


def peer(table: PeerTable, port: int = 1, options: ServerOptions | None = None) -> SharedPeer:
    name = f"127.0.0.1:{port}"
    return SharedPeer(table, table.record(name), ("127.0.0.1", port), name, name, options or ServerOptions())


def in_child(action: object) -> int:
    """Run something in a process of its own: its exit code, or the negative signal that ended it."""
    pid = os.fork()
    if not pid:
        code = 99
        try:
            code = action()  # type: ignore[operator]
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_record_for_each_key_until_there_is_no_room() -> None:
    table = PeerTable("z", 4 * RECORD)
    assert [table.record(key) for key in ("a", "b", "a", "c", "d", "b")] == [1, 2, 1, 3, 0, 2]
    with pytest.raises(ValueError, match="at least"):
        PeerTable("z", RECORD)


def test_a_record_that_is_used_no_more_is_taken_again() -> None:
    table = PeerTable("z", 3 * RECORD)
    first, second = peer(table, 1), peer(table, 2)
    first.active += 1
    first.gone()
    assert table.record("other") == 0
    first.active -= 1
    assert table.record("other") == 1
    assert second.active == 0


def test_what_workers_carry_is_one_sum() -> None:
    table = PeerTable("z", 1 << 16)
    one = peer(table)
    one.active += 1

    def other() -> int:
        one.active += 1
        one.active += 1
        one.active -= 1
        one.fails = 3
        one.checked = 12.5
        told = one.active
        os.kill(os.getpid(), signal.SIGSTOP)
        return told

    pid = os.fork()
    if not pid:
        os._exit(other())
    os.waitpid(pid, os.WUNTRACED)
    assert (one.active, one.fails, one.checked) == (2, 3, 12.5)
    one.active -= 1
    assert one.active == 1
    os.kill(pid, signal.SIGCONT)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2


def test_what_a_killed_worker_carried_is_forgotten_by_its_successor() -> None:
    table = PeerTable("z", 1 << 16)
    one = peer(table)

    def killed() -> int:
        one.active += 5
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    def successor() -> int:
        one.active += 1
        return one.active

    assert in_child(killed) == -signal.SIGKILL
    assert one.active == 5
    assert in_child(successor) == 1


def test_a_sweep_forgets_the_dead_and_spares_the_living() -> None:
    table = PeerTable("z", 1 << 16)
    one = peer(table)
    one.active += 1

    def killed() -> int:
        one.active += 7
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    in_child(killed)
    assert one.active == 8
    table.sweep()
    assert one.active == 1


def test_balancers_see_what_others_carry() -> None:
    table = PeerTable("z", 1 << 16)
    limited = ServerOptions(max_conns=1)
    group = Group("g", [peer(table, 1, limited), peer(table, 2, limited)], balancer=LeastConn)

    def other() -> int:
        chosen = group.select(None).next(100.0)
        os.kill(os.getpid(), signal.SIGSTOP)
        return chosen.address[1] if chosen is not None else 0  # type: ignore[return-value]

    pid = os.fork()
    if not pid:
        os._exit(other())
    os.waitpid(pid, os.WUNTRACED)
    mine = group.select(None).next(100.0)
    assert mine is not None
    assert group.select(None).next(100.0) is None
    os.kill(pid, signal.SIGCONT)
    theirs = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert {mine.address[1], theirs} == {1, 2}


def test_keys_in_use_are_told_to_the_next_configuration() -> None:
    table = PeerTable("z", 1 << 16)
    for key in ("u|10.0.0.1:80", "u|10.0.0.2:80", "v|10.0.0.3:80"):
        SharedPeer(table, table.record(key), ("10.0.0.1", 80), key, key, ServerOptions())
    assert table.live("u|") == ["10.0.0.1:80", "10.0.0.2:80"]
