"""Messages between the master and a worker."""

import gc
import os

from penstock.process.channel import Channel


def opened() -> int:
    gc.collect()  # what other tests left behind shall not go in the middle of this one
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_a_message_has_a_kind_values_and_descriptors() -> None:
    ours, theirs = Channel.pair()
    reading, writing = os.pipe()
    assert ours.send("plan", {"generation": 3, "listens": [["127.0.0.1", 80], "/run/x"]}, [reading])
    os.close(reading)
    (message,) = theirs.receive()
    assert (message.kind, message.fields) == ("plan", {"generation": 3, "listens": [["127.0.0.1", 80], "/run/x"]})
    os.write(writing, b"through")
    assert os.read(message.descriptors[0], 100) == b"through"
    message.drop()
    os.close(writing)
    for each in (ours, theirs):
        each.close()


def test_many_descriptors_and_long_values_arrive_in_order() -> None:
    ours, theirs = Channel.pair()
    before = opened()
    files = [os.memfd_create(str(number)) for number in range(450)]
    assert ours.send("many", {"text": "x" * 100_000}, files)
    assert ours.send("next")
    first, second = theirs.receive()
    assert first.fields["text"] == "x" * 100_000
    assert [os.fstat(fd).st_ino for fd in first.descriptors] == [os.fstat(fd).st_ino for fd in files]
    assert second.kind == "next" and not second.descriptors
    first.drop()
    for fd in files:
        os.close(fd)
    assert opened() == before
    for each in (ours, theirs):
        each.close()


def test_what_nobody_takes_is_dropped() -> None:
    ours, theirs = Channel.pair()
    taken = []
    theirs.handlers["known"] = taken.append
    before = opened()
    ours.send("unknown", descriptors=[0])
    ours.send("known")
    ours.sock.send(b".not json")
    theirs.handle()
    assert [message.kind for message in taken] == ["known"]
    assert opened() == before
    ours.close()
    theirs.handle()
    assert theirs.closed
    theirs.close()


def test_a_receiver_that_does_not_read_is_not_waited_for() -> None:
    ours, theirs = Channel.pair()
    while ours.send("more", {"text": "x" * 10_000}):
        pass
    theirs.close()
    assert not ours.send("late")
    ours.close()
