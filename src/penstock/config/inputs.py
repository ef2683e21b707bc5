"""What is taken from outside while a configuration is read: files, names of files, addresses of hosts, fresh secrets,
new shared memory.

Compiled configurations hold closures and TLS contexts, which can not be sent to another process. What they were made
of can: the master *records* what it takes while it reads a configuration, and a worker makes the same plan of the
*record*, whatever has become of the files since, and whatever a worker may read.

    record = Record()
    with using(record):
        plan = load(...)                # read_file, gathered, ... note what they give
    data = record.pack()                # to another process, with record.memories

    with using(Replay(data, memories)):
        plan = load(...)                # the same functions give what was noted

Outside of `using` all of them do what they say, with nothing noted. `using` is for one thread.
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from errno import ENOENT
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

FILE = "file"
_ORDINAL = "fresh"


Stamp = tuple[int, int, int] | None
"""What changes when a file does; None where there is none."""


def stamp_of(path: str) -> Stamp:
    """Return the stamp of a file as it is now: it changes when the file does."""
    try:
        about = os.stat(path.encode("latin-1"))
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns, about.st_size


class Material(Protocol):
    """The source of all that a load takes from outside."""

    def give(self, kind: str, name: str, obtain: Callable[[], T]) -> T:
        """Return what has this name; `obtain` gets it from outside, and may raise `OSError`."""

    def memory(self, name: str, make: Callable[[], int]) -> int:
        """Return a descriptor of new memory, zeroes, that is the caller's."""


_current: ContextVar[Material | None] = ContextVar("material", default=None)


@contextmanager
def using(material: Material) -> Iterator[None]:
    """Take everything from this material, in this thread, within the `with` block."""
    token = _current.set(material)
    try:
        yield
    finally:
        _current.reset(token)


def gathered(kind: str, name: str, obtain: Callable[[], T]) -> T:
    """Return what `obtain` gives, now or when the record was made: numbers, bytes, text, or tuples and lists of them.
    """
    material = _current.get()
    return obtain() if material is None else material.give(kind, name, obtain)


def read_file(path: str) -> bytes:
    """Read a file, with the same content for all who read it during one load. `path` is latin-1 text; raises `OSError`.
    """
    return gathered(FILE, path, lambda: _read(path))


def fresh_bytes(purpose: str, make: Callable[[], bytes]) -> bytes:
    """Make random bytes and the like: something new at each call, and the same for all who load one record."""
    return gathered(_ORDINAL, purpose, make)


def new_memory(name: str, size: int) -> int:
    """Return the descriptor of `size` bytes of memory for all workers, zeroes if it was made just now."""

    def make() -> int:
        fd = os.memfd_create(f"penstock {name}"[:200])
        os.ftruncate(fd, size)
        return fd

    material = _current.get()
    return make() if material is None else material.memory(name, make)


@contextmanager
def as_path(path: str) -> Iterator[str]:
    """Give a name by which a library can open the file's content, within the `with` block. Raises `OSError`."""
    if _current.get() is None:
        yield os.fsdecode(path.encode("latin-1"))
        return
    fd = os.memfd_create("material", os.MFD_CLOEXEC)
    try:
        write_all(fd, read_file(path))
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


class Record:
    """A record of what is taken. `under` is a record from before whose things are taken again, but for `files`."""

    def __init__(self, under: Record | None = None, files: Container[str] = ()) -> None:
        # Any: whatever `marshal` writes.
        self._found: dict[tuple[str, str], Any] = {}
        self._under: Mapping[tuple[str, str], Any] = {} if under is None else under._found
        self._stamps: dict[str, Stamp] = {} if under is None else dict(under._stamps)
        self._anew = files
        self._ordinals: dict[str, int] = {}
        self.memories: list[tuple[str, int]] = []
        """New memory by name; the descriptors are those of who asked for it."""

    def give(self, kind: str, name: str, obtain: Callable[[], T]) -> T:
        """Return what `obtain` gives, and note it: asked again by that name, it is the same. Raises what `obtain`
        raises."""
        if kind == _ORDINAL:
            number = self._ordinals[name] = self._ordinals.get(name, 0) + 1
            made = self._found[kind, f"{name} {number}"] = obtain()
            return made
        key = kind, name
        if key not in self._found:
            before = kind != FILE or name not in self._anew
            if before and key in self._under:
                self._found[key] = self._under[key]
            else:
                if kind == FILE:
                    self._stamps[name] = stamp_of(name)  # before it is read: what changes meanwhile is seen
                self._found[key] = obtain()
        found: T = self._found[key]
        return found

    def stamp(self, path: str) -> Stamp:
        """Return the stamp of a file as it was read; None if it was not."""
        return self._stamps.get(path)

    def memory(self, name: str, make: Callable[[], int]) -> int:
        """Make new memory, and note its descriptor under that name."""
        fd = make()
        self.memories.append((name, fd))
        return fd

    def pack(self) -> bytes:
        """Pack everything but memory, for `Replay`."""
        return marshal.dumps(self._found)


class Replay:
    """Gives what was noted; what was not there then is not there now. `memories` are descriptors by name, each given to
    one who asks."""

    def __init__(self, data: bytes, memories: list[tuple[str, int]]) -> None:
        self._found: dict[tuple[str, str], Any] = marshal.loads(data)
        self._ordinals: dict[str, int] = {}
        self.memories = memories

    def give(self, kind: str, name: str, obtain: Callable[[], T]) -> T:
        """Return what was noted, without obtaining anything. Raises `OSError` for what was not there then."""
        if kind == _ORDINAL:
            number = self._ordinals[name] = self._ordinals.get(name, 0) + 1
            name = f"{name} {number}"
        if (kind, name) not in self._found:
            raise OSError(ENOENT, f"{os.strerror(ENOENT)} when the configuration was read", name)
        found: T = self._found[kind, name]
        return found

    def memory(self, name: str, make: Callable[[], int]) -> int:
        """Return the descriptor of that name, each to one who asks. Raises `OSError` if none is left."""
        for at, (known, fd) in enumerate(self.memories):
            if known == name:
                del self.memories[at]
                return fd
        raise OSError(ENOENT, "no memory came with the configuration", name)


def write_all(fd: int, data: bytes) -> None:
    """Write the whole of it into a file."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _read(path: str) -> bytes:
    with open(path.encode("latin-1"), "rb") as file:  # noqa: PTH123  bytes
        return file.read()
