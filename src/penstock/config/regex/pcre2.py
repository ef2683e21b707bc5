"""The system's PCRE2 by way of ctypes: for patterns that Python's `re` can not express, or might match for ever.

nginx uses the same library. `PENSTOCK_REGEX=python` leaves it out, `PENSTOCK_REGEX=pcre2` insists on it and has it
match everything. Calls hold the interpreter lock: they are short, and nobody else is there.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

VARIABLE = "PENSTOCK_REGEX"
NAMES = ("libpcre2-8.so.0", "libpcre2-8.so")
WANTED = "install the PCRE2 library (Debian: libpcre2-8-0, Alpine and Fedora: pcre2)"

CASELESS = 0x00000008
UTF = 0x00080000
ANCHORED = 0x80000000
NO_UTF_CHECK = 0x40000000
NO_MATCH = -1
HEAP_KIB = 32 * 1024
"""What one match may take for its way back, which is kept for the next: the library's own limit is 20 GB."""

_JIT_COMPLETE = 1
_INFO_ALLOPTIONS, _INFO_CAPTURECOUNT, _INFO_NAMECOUNT, _INFO_NAMEENTRYSIZE, _INFO_NAMETABLE = 0, 4, 17, 18, 19
_CONFIG_VERSION = 11


class NoLibrary(Exception):
    """Raised when PENSTOCK_REGEX asks for what is not there; the text says what to do."""


class PatternRefused(ValueError):
    """Raised when PCRE2 does not take the pattern. `reason` is its own words, `offset` where in the pattern."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} at {offset}")
        self.reason = reason
        self.offset = offset


class Library:
    """The functions of PCRE2 that are used, with pointers as numbers."""

    # Any: ctypes finds functions by their name, of any prototype.
    def __init__(self, loaded: Any) -> None:
        import ctypes

        self._ctypes = ctypes
        self._lib = loaded
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        for name, result, *takes in (
            ("pcre2_compile_8", pointer, ctypes.c_char_p, size, ctypes.c_uint32, pointer, pointer, pointer),
            ("pcre2_match_data_create_8", pointer, ctypes.c_uint32, pointer),
            ("pcre2_get_ovector_pointer_8", ctypes.POINTER(size), pointer),
            ("pcre2_match_context_create_8", pointer, pointer),
            ("pcre2_set_match_limit_8", ctypes.c_int, pointer, ctypes.c_uint32),
            ("pcre2_set_heap_limit_8", ctypes.c_int, pointer, ctypes.c_uint32),
            ("pcre2_match_8", ctypes.c_int, pointer, ctypes.c_char_p, size, size, ctypes.c_uint32, pointer, pointer),
            ("pcre2_code_free_8", None, pointer),
            ("pcre2_jit_compile_8", ctypes.c_int, pointer, ctypes.c_uint32),
            ("pcre2_pattern_info_8", ctypes.c_int, pointer, ctypes.c_uint32, pointer),
            ("pcre2_get_error_message_8", ctypes.c_int, ctypes.c_int, ctypes.c_char_p, size),
            ("pcre2_config_8", ctypes.c_int, ctypes.c_uint32, ctypes.c_char_p),
        ):
            function = getattr(loaded, name)
            function.restype = result
            function.argtypes = takes
        self._data: dict[int, tuple[int, Any]] = {}
        self.context = loaded.pcre2_match_context_create_8(None)
        if not self.context:
            raise MemoryError("pcre2_match_context_create()")
        loaded.pcre2_set_heap_limit_8(self.context, HEAP_KIB)
        self.limit_matches = loaded.pcre2_set_match_limit_8
        self.match = loaded.pcre2_match_8
        text = ctypes.create_string_buffer(64)
        loaded.pcre2_config_8(_CONFIG_VERSION, text)
        self.version = text.value.decode("ascii", "replace").partition(" ")[0]

    def compile(self, pattern: str, caseless: bool) -> int:
        """Compile a pattern, and return its address. Raises `PatternRefused`."""
        ctypes = self._ctypes
        text = pattern.encode("latin-1")
        code, offset = ctypes.c_int(), ctypes.c_size_t()
        options = CASELESS if caseless else 0
        made = self._lib.pcre2_compile_8(text, len(text), options, ctypes.byref(code), ctypes.byref(offset), None)
        if made:
            return int(made)
        said = ctypes.create_string_buffer(256)
        self._lib.pcre2_get_error_message_8(code, said, len(said))
        raise PatternRefused(said.value.decode("latin-1"), min(offset.value, len(text)))

    def describe(self, code: int) -> tuple[int, int, list[tuple[str, int]]]:
        """Return the options in force, how many groups there are, and the names with the number of each."""
        ctypes = self._ctypes
        number = ctypes.c_uint32()

        def ask(what: int) -> int:
            self._lib.pcre2_pattern_info_8(code, what, ctypes.byref(number))
            return int(number.value)

        options, groups, count, size = map(
            ask, (_INFO_ALLOPTIONS, _INFO_CAPTURECOUNT, _INFO_NAMECOUNT, _INFO_NAMEENTRYSIZE)
        )
        names = []
        if count:
            table = ctypes.c_void_p()
            self._lib.pcre2_pattern_info_8(code, _INFO_NAMETABLE, ctypes.byref(table))
            entries = ctypes.string_at(table.value or 0, count * size)
            for at in range(0, len(entries), size):
                name = entries[at + 2 : at + size].partition(b"\0")[0]
                names.append((name.decode("latin-1"), entries[at] << 8 | entries[at + 1]))
        return options, groups, names

    def data_for(self, groups: int) -> tuple[int, Any]:
        """Make room for what matches with so many groups find: its address, and the offsets as an array.

        Patterns share it, since it keeps the memory of the longest way back."""
        pairs = 1 << groups.bit_length()
        found = self._data.get(pairs)
        if found is None:
            made = self._lib.pcre2_match_data_create_8(pairs, None)
            if not made:
                raise MemoryError("pcre2_match_data_create()")
            found = self._data[pairs] = int(made), self._lib.pcre2_get_ovector_pointer_8(made)
        return found

    def free(self, code: int) -> None:
        """Give a pattern back."""
        self._lib.pcre2_code_free_8(code)

    def compile_further(self, code: int) -> int:
        """Compile it to machine code (`pcre_jit`); return 0, or why that can not be done."""
        return int(self._lib.pcre2_jit_compile_8(code, _JIT_COMPLETE))


@cache
def _load() -> Library | None:
    try:
        import ctypes
    except ImportError:  # a Python that was built without
        return None
    for name in NAMES:
        try:
            return Library(ctypes.PyDLL(name))
        except (OSError, AttributeError):  # not there, or not what it says it is
            continue
    return None


def wanted() -> str:
    """Return what PENSTOCK_REGEX says: "", "python" or "pcre2". Raises `NoLibrary`."""
    said = os.environ.get(VARIABLE, "")
    if said not in ("", "python", "pcre2"):
        raise NoLibrary(f'{VARIABLE} is "{said}"; it may be "pcre2" or "python"')
    return said


def library() -> Library | None:
    """Return the library, None if it is not there or not wanted. Raises `NoLibrary`."""
    said = wanted()
    if said == "python":
        return None
    found = _load()
    if found is None and said:
        raise NoLibrary(f"{VARIABLE}=pcre2, but there is no {NAMES[0]}: {WANTED}")
    return found


def describe() -> str:
    """Say for people which engine matches regular expressions."""
    try:
        found = library()
        if found is None:
            return "python, with a time limit"
        own = f"pcre2 {found.version}"
        return own if wanted() else f"python, and {own} for what it can not express or could match for ever"
    except NoLibrary as error:
        return f"none: {error}"
