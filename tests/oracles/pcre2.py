"""The real PCRE2 by way of ctypes, where this machine has it: the oracle for our translation."""

from __future__ import annotations

import ctypes
import ctypes.util

CASELESS = 0x00000008
_UNSET = ctypes.c_size_t(-1).value


def _load() -> ctypes.CDLL | None:
    name = ctypes.util.find_library("pcre2-8")
    if name is None:
        return None
    library = ctypes.CDLL(name)
    library.pcre2_compile_8.restype = ctypes.c_void_p
    library.pcre2_match_data_create_from_pattern_8.restype = ctypes.c_void_p
    library.pcre2_get_ovector_pointer_8.restype = ctypes.POINTER(ctypes.c_size_t)
    return library


LIBRARY = _load()


class Pattern:
    """Raises `ValueError` when PCRE2 refuses the pattern."""

    def __init__(self, pattern: str, options: int = 0) -> None:
        assert LIBRARY is not None
        text = pattern.encode("latin-1")
        code, offset = ctypes.c_int(), ctypes.c_size_t()
        self._code = LIBRARY.pcre2_compile_8(
            text,
            ctypes.c_size_t(len(text)),
            ctypes.c_uint32(options),
            ctypes.byref(code),
            ctypes.byref(offset),
            None,
        )
        if not self._code:
            raise ValueError(f"{code.value} at {offset.value}")
        self._data = LIBRARY.pcre2_match_data_create_from_pattern_8(ctypes.c_void_p(self._code), None)

    def code(self, text: str) -> int:
        """What `pcre2_match()` gives: -1 for no match, below that for an error."""
        assert LIBRARY is not None
        data = text.encode("latin-1")
        return int(
            LIBRARY.pcre2_match_8(
                ctypes.c_void_p(self._code), data, ctypes.c_size_t(len(data)), ctypes.c_size_t(0),
                ctypes.c_uint32(0), ctypes.c_void_p(self._data), None,
            )
        )  # fmt: skip

    def spans(self, text: str) -> list[tuple[int, int]] | None:
        """Where the match is, then each group up to the last that took part; (-1, -1) if one did not."""
        assert LIBRARY is not None
        data = text.encode("latin-1")
        count = LIBRARY.pcre2_match_8(
            ctypes.c_void_p(self._code), data, ctypes.c_size_t(len(data)), ctypes.c_size_t(0),
            ctypes.c_uint32(0), ctypes.c_void_p(self._data), None,
        )  # fmt: skip
        if count < 0:
            return None
        vector = LIBRARY.pcre2_get_ovector_pointer_8(ctypes.c_void_p(self._data))
        pairs = [(vector[2 * i], vector[2 * i + 1]) for i in range(count)]
        return [(-1, -1) if start == _UNSET else (start, end) for start, end in pairs]

    def __del__(self) -> None:
        if LIBRARY is not None and getattr(self, "_data", None):
            LIBRARY.pcre2_match_data_free_8(ctypes.c_void_p(self._data))
        if LIBRARY is not None and getattr(self, "_code", None):
            LIBRARY.pcre2_code_free_8(ctypes.c_void_p(self._code))
