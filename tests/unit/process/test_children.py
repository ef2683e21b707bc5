import os
import signal

from penstock.process.children import exit_code, run_in_child


def test_what_a_task_returns_comes_back_and_what_it_changes_does_not() -> None:
    here = os.getcwd()  # noqa: PTH109

    def task() -> int:
        os.chdir("/")
        return 42

    assert run_in_child(task) == 42
    assert os.getcwd() == here  # noqa: PTH109


def test_a_signal_is_a_negative_code() -> None:
    def task() -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return 0

    assert run_in_child(task) == -signal.SIGTERM


def test_one_child_is_waited_for() -> None:
    pid = os.fork()
    if not pid:
        os._exit(3)
    assert exit_code(pid) == 3
