import os

from penstock.shared.memory import LockedMemory, SharedMemory


def _in_child(task: object) -> int:
    pid = os.fork()
    if not pid:
        code = 99
        try:
            code = int(task())  # type: ignore[operator]
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_what_a_child_writes_is_seen_here() -> None:
    memory = SharedMemory("written", 16)

    def write() -> int:
        memory.memory[3] = 7
        return 0

    assert _in_child(write) == 0
    assert memory.memory[3] == 7


def test_a_byte_is_locked_for_one_process_and_free_once_that_is_gone() -> None:
    memory = SharedMemory("bytes", 16)
    assert memory.lock_byte(2, wait=False)
    assert _in_child(lambda: memory.lock_byte(2, wait=False)) == 0
    assert _in_child(lambda: memory.lock_byte(3, wait=False)) == 1
    assert memory.lock_byte(3, wait=False)  # the child that had it has ended
    memory.unlock_byte(2)
    assert _in_child(lambda: memory.lock_byte(2, wait=False)) == 1


def test_the_lock_of_all_memory_keeps_other_processes_out() -> None:
    memory = LockedMemory("whole", 16)
    with memory:
        assert _in_child(lambda: memory.lock_byte(0, wait=False)) == 0
    assert _in_child(lambda: memory.lock_byte(0, wait=False)) == 1
