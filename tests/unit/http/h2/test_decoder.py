"""HPACK as others write it: RFC 7541's own examples, another implementation's blocks, and blocks that are none."""

import pytest
from hpack import Decoder as Reference
from hpack import Encoder
from hpack.exceptions import HPACKError
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.http.h2.decoder import Decoder
from penstock.http.h2.parts import BadBlock, TooManyFields

FIELDS = st.lists(
    st.tuples(
        st.sampled_from([b":path", b":method", b"cookie", b"x-a", b"accept", b"x-" + b"n" * 200]),
        st.one_of(st.sampled_from([b"GET", b"/", b"", b"a" * 300]), st.binary(max_size=40)),
    ),
    max_size=12,
)


@given(st.lists(st.tuples(FIELDS, st.booleans(), st.sampled_from([None, 0, 60, 300, 4096])), max_size=8))
def test_blocks_of_another_implementation(blocks) -> None:
    encoder, decoder = Encoder(), Decoder(1 << 20)
    for fields, huffman, size in blocks:
        if size is not None:
            encoder.header_table_size = size
        assert decoder.decode(encoder.encode(fields, huffman=huffman)) == fields


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4))
def test_what_is_none_is_none_for_others_too(blocks) -> None:
    reference, decoder = Reference(), Decoder()
    for block in blocks:
        try:
            wanted = [tuple(field) for field in reference.decode(block, raw=True)]
        except (HPACKError, IndexError, TypeError):
            with pytest.raises(BadBlock):
                decoder.decode(block)
            return
        assert decoder.decode(block) == wanted


@pytest.mark.parametrize(
    ("blocks", "fields"),
    [
        pytest.param(
            ["400a637573746f6d2d6b65790d637573746f6d2d686561646572"], [(b"custom-key", b"custom-header")], id="C.2.1"
        ),
        pytest.param(["040c2f73616d706c652f70617468"], [(b":path", b"/sample/path")], id="C.2.2"),
        pytest.param(["100870617373776f726406736563726574"], [(b"password", b"secret")], id="C.2.3"),
        pytest.param(["82"], [(b":method", b"GET")], id="C.2.4"),
        pytest.param(
            ["828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf"],
            [
                (b":method", b"GET"),
                (b":scheme", b"http"),
                (b":path", b"/"),
                (b":authority", b"www.example.com"),
                (b"cache-control", b"no-cache"),
            ],
            id="C.4.2",
        ),
    ],
)
def test_examples_of_the_rfc(blocks: list[str], fields: list[tuple[bytes, bytes]]) -> None:
    decoder = Decoder()
    got = [decoder.decode(bytes.fromhex(block)) for block in blocks]
    assert got[-1] == fields


@pytest.mark.parametrize(
    "block",
    [
        pytest.param("80", id="6.1 index 0"),
        pytest.param("be", id="2.3.3 an index beyond the table"),
        pytest.param("7f00", id="2.3.3 a name beyond the table"),
        pytest.param("ffffffffffff7f", id="5.1 a number without an end"),
        pytest.param("ff", id="5.1 a number that is cut off"),
        pytest.param("00", id="5.2 no name"),
        pytest.param("00057061", id="5.2 a string that is cut off"),
        pytest.param("000161", id="5.2 no value"),
        pytest.param("000161821fff", id="5.2 more than 7 bits of padding"),
        pytest.param("0001618100", id="5.2 padding that is not of ones"),
        pytest.param("00016184ffffffff", id="5.2 the end of a string within it"),
        pytest.param("8220", id="4.2 a size of the table behind a field"),
        pytest.param("3fe21f", id="6.3 a table larger than allowed"),
    ],
)
def test_blocks_that_are_none(block: str) -> None:
    with pytest.raises(BadBlock):
        Decoder().decode(bytes.fromhex(block))


def test_a_bomb_is_bounded() -> None:
    decoder = Decoder(max_header_list_size=16384)
    with pytest.raises(TooManyFields):
        decoder.decode(b"\x40\x01a\x7f\xf9\x1d" + b"x" * 3960 + b"\xbe" * 100)
