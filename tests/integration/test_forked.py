"""What the harness forks is what a new process would be, and the server of forks leaves nothing behind."""

import itertools
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness import programs
from harness.binary import penstock
from harness.forks.forked import Forked, ForkServer, ServerHasEnded
from harness.processes import children, gone
from harness.waiting import eventually

STATE = """
import atexit, gc, json, locale, os, random, resource, signal, sys, tempfile, threading

atexit.register(lambda: print("bye"))
dispositions = {}
for number in sorted(signal.valid_signals()):
    handler = signal.getsignal(number)
    dispositions[number] = getattr(handler, "__qualname__", str(handler))
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
print(json.dumps({
    "arguments": sys.argv,
    "original": sys.orig_argv,
    "executable": sys.executable,
    "name": __name__,
    "file": __file__,
    "module": sys.modules["__main__"].__dict__ is globals(),
    "path": sys.path,
    "flags": str(sys.flags),
    "warnings": sys.warnoptions,
    "environment": dict(os.environ),
    "folder": os.getcwd(),
    "umask": status["Umask"],
    "limits": {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name[:7] == "RLIMIT_"},
    "dispositions": dispositions,
    "signals": {name: value for name, value in status.items() if name[:3] in ("Sig", "Shd") and name != "SigQ"},
    "descriptors": {fd: os.path.exists(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")},
    "threads": status["Threads"],
    "active": threading.active_count(),
    "comm": open("/proc/self/comm").read(),
    "leads": [os.getpid() == os.getsid(0), os.getpid() == os.getpgid(0)],
    "streams": [
        [each.encoding, each.errors, each.line_buffering, each.fileno(), each.mode, each.isatty()]
        for each in (sys.stdin, sys.stdout, sys.stderr)
    ],
    "same streams": [sys.stdin is sys.__stdin__, sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__],
    "locale": locale.getlocale(),
    "collector": [gc.isenabled(), gc.get_threshold(), gc.get_debug()],
    "temporary": tempfile.tempdir,
}))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    made = ForkServer(os.environ)
    yield made
    made.close()


class Forks:
    """Forks scripts, and ends what is left of them."""

    def __init__(self, server: ForkServer, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._numbers = itertools.count()
        self._made: list[Forked] = []

    def write(self, text: str) -> str:
        path = self._folder / f"script-{next(self._numbers)}"
        path.write_text(text)
        return str(path)

    def __call__(
        self,
        text: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        session: bool = False,
    ) -> Forked:
        script = self.write(text)
        wanted = subprocess.PIPE
        with programs._Streams(wanted, wanted, wanted) as streams:
            pid, told = self._server.fork(
                script,
                arguments,
                os.environ if environment is None else environment,
                cwd or self._folder,
                dict(enumerate(streams.theirs)),
                session=session,
            )
            self._made.append(Forked([script, *arguments], pid, told, *streams.keep()))
        return self._made[-1]

    def close(self) -> None:
        for each in self._made:
            each.kill()
            each.__exit__(None, None, None)
        self._made.clear()


@pytest.fixture
def fork(server: ForkServer, tmp_path: Path) -> Iterator[Forks]:
    made = Forks(server, tmp_path)
    yield made
    made.close()


def told(process: Forked, given: bytes = b"") -> str:
    out, err = process.communicate(given, 30)
    assert (process.returncode, err) == (0, b"")
    return out.decode()


# What it is


@pytest.mark.parametrize("session", [False, True])
def test_it_is_what_a_new_process_is(fork: Forks, tmp_path: Path, session: bool) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    environment.update({"OWN": "a\u20ac\udcff", "EMPTY": ""})
    text = f"#!{sys.executable}\n{STATE}"
    mask = os.umask(0o027)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.set_inheritable(descriptor, True)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit[0] - 7, limit[1]))
        forked = told(fork(text, "-p", "a b", "\u20ac", environment=environment, cwd=folder, session=session))
        (path := tmp_path / "script-0").chmod(0o755)
        fresh = subprocess.run(
            [path, "-p", "a b", "\u20ac"],
            capture_output=True,
            env=environment,
            cwd=folder,
            start_new_session=session,
            input=b"",
            timeout=60,
        )
    finally:
        os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        os.umask(mask)
    assert fresh.returncode == 0, fresh.stderr
    first, last = forked.splitlines()
    assert last == "bye"
    assert json.loads(first) == json.loads(fresh.stdout.splitlines()[0])


def test_each_has_chance_of_its_own(fork: Forks) -> None:
    text = "import os, random; print(random.random(), random.Random().random(), os.getpid())"
    one, other = (told(fork(text)).split() for _ in range(2))
    assert not set(one) & set(other)


def test_standard_streams_are_those_that_were_given(server: ForkServer, tmp_path: Path) -> None:
    text = "import sys; sys.stdout.write(sys.stdin.read() + 'out'); sys.stderr.write('err')"
    script = tmp_path / "script"
    script.write_text(text)
    (tmp_path / "in").write_text("in ")
    with (
        (tmp_path / "in").open("rb") as given,
        (tmp_path / "out").open("wb") as out,
        (tmp_path / "err").open("wb") as err,
    ):
        numbers = {0: given.fileno(), 1: out.fileno(), 2: err.fileno()}
        pid, end = server.fork(str(script), [], os.environ, tmp_path, numbers, session=False)
        assert Forked([str(script)], pid, end, None, None, None).wait(30) == 0
    assert [(tmp_path / name).read_text() for name in ("out", "err")] == ["in out", "err"]


def test_much_goes_in_and_out(fork: Forks) -> None:
    text = "import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data); sys.stderr.buffer.write(data)"
    data = os.urandom(1 << 20)
    process = fork(text)
    assert process.communicate(data, 30) == (data, data)
    assert process.returncode == 0


def test_who_does_not_read_hears_nothing(fork: Forks) -> None:
    assert fork("print('no')").communicate(bytes(1 << 20), 30) == (b"no\n", b"")


# Its end


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", 0),
        ("import sys; sys.exit(3)", 3),
        ("import sys; sys.exit('why')", 1),
        ("1 / 0", 1),
        ("import os; os._exit(255)", 255),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("import os; os.abort()", -signal.SIGABRT),
    ],
)
def test_how_it_ends_is_known(fork: Forks, text: str, code: int) -> None:
    process = fork(text)
    assert process.wait(30) == code
    assert process.poll() == process.returncode == code


def test_a_mistake_says_where_it_is(fork: Forks) -> None:
    _, err = fork("def work():\n    return 1 / 0\n\n\nwork()\n").communicate(timeout=30)
    assert b'/script-0", line 2, in work' in err
    assert err.endswith(b"ZeroDivisionError: division by zero\n")


def test_an_interruption_ends_it_as_usual(fork: Forks) -> None:
    process = fork("import time; print('here', flush=True); time.sleep(60)")
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == -signal.SIGINT


def test_it_can_be_waited_for_and_killed(fork: Forks) -> None:
    process = fork("import time; time.sleep(60)")
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.05)
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=0.05)
    process.terminate()
    assert process.wait(30) == -signal.SIGTERM
    process.kill()  # nobody, by now


def test_its_number_is_its_own_until_its_end_is_known(fork: Forks) -> None:
    process = fork("")
    eventually(lambda: gone(process.pid))
    os.kill(process.pid, 0)
    process.wait(30)
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_who_is_forgotten_is_reaped(server: ForkServer, tmp_path: Path) -> None:
    (tmp_path / "script").write_text("import time; time.sleep(2)")
    before = children(server.pid)
    streams = {0: 0, 1: 1, 2: 2}
    pid, end = server.fork(str(tmp_path / "script"), [], os.environ, tmp_path, streams, session=False)
    assert children(server.pid) == before | {pid}
    end.close()
    eventually(lambda: children(server.pid) == before)


def test_several_may_be_asked_for_at_once(fork: Forks) -> None:
    text = "import sys; print(sys.argv[1])"
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda number: told(fork(text, str(number))), range(24))) == [f"{n}\n" for n in range(24)]


# The server


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_the_server_keeps_nothing(server: ForkServer, fork: Forks) -> None:
    told(fork("print()"))
    fork.close()
    before = descriptors(server.pid), descriptors(os.getpid())
    for _ in range(5):
        told(fork("print()"))
        fork("import time; time.sleep(60)").kill()
    fork.close()
    eventually(lambda: (descriptors(server.pid), descriptors(os.getpid())) <= before)
    assert not children(server.pid)


PARENT = """
import os, sys
sys.path.insert(0, sys.argv[1])
from harness.forks.forked import ForkServer
server = ForkServer(os.environ)
pid, told = server.fork(sys.argv[2], [], os.environ, "/", {0: 0, 1: 1, 2: 2}, session=True)
print(server.pid, pid, flush=True)
input()
"""


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_the_server_goes_with_its_parent_and_the_others_stay(tmp_path: Path, how: str) -> None:
    (tmp_path / "script").write_text("import time; time.sleep(60)")
    command = [sys.executable, "-c", PARENT, str(Path(__file__).parents[1]), str(tmp_path / "script")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        server, child = map(int, parent.stdout.readline().split())
        try:
            assert not gone(server)
            if how == "killed":
                parent.kill()
                parent.wait()
            else:
                assert parent.stdin is not None
                parent.stdin.write(b"\n")
                parent.stdin.close()
                assert parent.wait(30) == 0
            eventually(lambda: gone(server))
            assert not gone(child)
        finally:
            os.kill(child, signal.SIGKILL)


def test_without_a_server_nobody_waits(fork: Forks, tmp_path: Path) -> None:
    (tmp_path / "script").write_text("import time; time.sleep(60)")
    made = ForkServer(os.environ)
    pid, end = made.fork(str(tmp_path / "script"), [], os.environ, tmp_path, {0: 0, 1: 1, 2: 2}, session=True)
    process = Forked([], pid, end, None, None, None)
    os.kill(made.pid, signal.SIGKILL)
    with pytest.raises(ServerHasEnded):
        process.wait(30)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ServerHasEnded):
        made.fork(str(tmp_path / "script"), [], os.environ, tmp_path, {0: 0, 1: 1, 2: 2}, session=True)
    made.close()


# Who is forked


def test_who_is_forked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kind(**options: Any) -> type:
        command = [*penstock().command, "-v"]
        with programs.start(command, stderr=subprocess.DEVNULL, **options) as process:
            assert process.wait(60) == 0
            return type(process)

    if os.environ.get("PENSTOCK_BINARY") or os.environ.get("PENSTOCK_TESTS_FRESH"):
        pytest.skip("nobody is")
    assert kind() is Forked
    assert kind(env={**os.environ, "OWN": "1"}) is Forked
    assert kind(fresh=True) is subprocess.Popen
    for name in ("PENSTOCK_RELAY", "PYTHONHASHSEED", "LC_ALL", "TZ"):
        assert kind(env={**os.environ, name: "0"}) is subprocess.Popen, name
    monkeypatch.setenv("PENSTOCK_TESTS_FRESH", "1")
    assert kind() is subprocess.Popen


def test_a_command_is_run_to_its_end() -> None:
    done = programs.run([*penstock().command, "--version"])
    assert (done.returncode, done.stderr) == (0, "")
    assert "penstock/" in done.stdout
