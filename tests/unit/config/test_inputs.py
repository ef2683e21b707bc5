"""What a load takes from outside is noted, and given again."""

import os
import threading

import pytest

from penstock.config.inputs import Record, Replay, as_path, fresh_bytes, gathered, new_memory, read_file, using


def test_a_replay_gives_what_was_noted_whatever_has_become_of_it(tmp_path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"one")
    record = Record()
    with using(record):
        assert read_file(str(file)) == b"one"
        file.write_bytes(b"two")
        assert read_file(str(file)) == b"one"  # one load sees one state
        assert gathered("host", "a.test", lambda: ["127.0.0.1"]) == ["127.0.0.1"]
    file.unlink()
    with using(Replay(record.pack(), [])):
        assert read_file(str(file)) == b"one"
        assert gathered("host", "a.test", lambda: ["127.0.0.2"]) == ["127.0.0.1"]
        with as_path(str(file)) as name, open(name, "rb") as copy:  # noqa: PTH123
            assert copy.read() == b"one"


def test_what_was_not_there_is_not_there(tmp_path) -> None:
    (tmp_path / "a").write_bytes(b"new")
    with using(Replay(Record().pack(), [])), pytest.raises(FileNotFoundError):
        read_file(str(tmp_path / "a"))


def test_nothing_is_noted_outside(tmp_path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"one")
    assert read_file(str(file)) == b"one"
    file.write_bytes(b"two")
    assert read_file(str(file)) == b"two"


def test_fresh_bytes_differ_each_time_and_agree_with_the_record() -> None:
    record = Record()
    with using(record):
        made = [fresh_bytes("key", lambda: os.urandom(8)) for _ in range(3)]
    assert len(set(made)) == 3
    with using(Replay(record.pack(), [])):
        assert [fresh_bytes("key", lambda: b"") for _ in range(3)] == made


def test_memory_goes_by_its_name() -> None:
    record = Record()
    with using(record):
        one, other = new_memory("one", 4096), new_memory("other", 8192)
    os.pwrite(other, b"shared", 0)
    replay = Replay(record.pack(), [(name, os.dup(fd)) for name, fd in record.memories])
    with using(replay):
        assert os.pread(new_memory("other", 8192), 6, 0) == b"shared"
        with pytest.raises(OSError):
            new_memory("third", 4096)
    for _, fd in (*record.memories, *replay.memories):
        os.close(fd)
    assert (one, other) == tuple(fd for _, fd in record.memories)


def test_some_files_are_read_anew(tmp_path) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(b"one")
    paths = [str(tmp_path / name) for name in "ab"]
    before = Record()
    with using(before):
        for path in paths:
            read_file(path)
    for name in "ab":
        (tmp_path / name).write_bytes(b"two")
    with using(Record(before, {paths[1]})):
        assert [read_file(path) for path in paths] == [b"one", b"two"]


def test_threads_do_not_see_each_other(tmp_path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"one")
    seen = []
    with using(Replay(Record().pack(), [])):
        thread = threading.Thread(target=lambda: seen.append(read_file(str(file))))
        thread.start()
        thread.join()
    assert seen == [b"one"]
