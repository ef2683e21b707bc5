import os

from penstock.shared.processes import is_alive


def test_a_process_is_alive_until_it_is_reaped() -> None:
    asleep, wake = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(wake)
        os.read(asleep, 1)
        os._exit(0)
    os.close(asleep)
    assert is_alive(os.getpid())
    assert is_alive(pid)
    os.close(wake)
    os.waitpid(pid, 0)
    assert not is_alive(pid)


def test_a_process_of_another_user_is_alive() -> None:
    assert is_alive(1)
