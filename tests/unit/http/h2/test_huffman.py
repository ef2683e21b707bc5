"""Huffman's code as another implementation has it (RFC 7541, appendix B)."""

import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given
from hypothesis import strategies as st

from penstock.http.h2.huffman import decode, encode
from penstock.http.h2.parts import BadBlock

REFERENCE = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


def test_every_symbol_has_its_code() -> None:
    for byte in range(256):
        assert encode(bytes((byte,))) == REFERENCE.encode(bytes((byte,))), byte


@given(st.binary(max_size=200))
def test_there_and_back(data: bytes) -> None:
    coded = encode(data)
    assert coded == (REFERENCE.encode(data) if data else b"") and decode(coded) == data


@pytest.mark.parametrize("coded", ["ff", "ffffffff", "1fff", "18"])
def test_what_is_no_string(coded: str) -> None:
    """More padding than 7 bits, the end within it, padding that is not of ones."""
    with pytest.raises(BadBlock):
        decode(bytes.fromhex(coded))


def test_steps_that_are_remembered_are_bounded() -> None:
    from penstock.http.h2 import huffman

    for first in range(256):
        for second in range(256):
            try:
                decode(bytes((first, second)))
            except BadBlock:
                continue
    assert len(huffman._known) <= 4096
