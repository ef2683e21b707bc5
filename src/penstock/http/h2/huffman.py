"""Huffman's code of HPACK (RFC 7541, section 5.2 and appendix B), both ways.

The code is canonical: a symbol's code follows from how many bits it has and which symbols have as many. So the table is
the symbols by length; the codes are counted.
"""

from __future__ import annotations

from penstock.http.h2.parts import BadBlock

_SYMBOLS = {
    5: b'012aceiost',
    6: b' %-./3456789=A_bdfghlmnpru',
    7: b':BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz',
    8: b'&*,;XZ',
    10: b'!"()?',
    11: b"'+|",
    12: b'#>',
    13: b'\x00$@[]~',
    14: b'^}',
    15: b'<`{',
    19: b'\\\xc3\xd0',
    20: b'\x80\x82\x83\xa2\xb8\xc2\xe0\xe2',
    21: b'\x99\xa1\xa7\xac\xb0\xb1\xb3\xd1\xd8\xd9\xe3\xe5\xe6',
    22: (
        b'\x81\x84\x85\x86\x88\x92\x9a\x9c\xa0\xa3\xa4\xa9\xaa'
        b'\xad\xb2\xb5\xb9\xba\xbb\xbd\xbe\xc4\xc6\xe4\xe8\xe9'
    ),
    23: (
        b'\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\x95\x96\x97\x98\x9b'
        b'\x9d\x9e\xa5\xa6\xa8\xae\xaf\xb4\xb6\xb7\xbc\xbf\xc5\xe7'
        b'\xef'
    ),
    24: b'\t\x8e\x90\x91\x94\x9f\xab\xce\xd7\xe1\xec\xed',
    25: b'\xc7\xcf\xea\xeb',
    26: b'\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff',
    27: b'\xcb\xcc\xd3\xd4\xd6\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe',
    28: (
        b'\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12'
        b'\x13\x14\x15\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f\xdc'
        b'\xf9'
    ),
    30: b'\n\r\x16',
}
"""By number of bits: who has so many, in their order. The end of a string, which is never sent, is the last of all."""

_END = 256


def _counted() -> dict[int, int]:
    """The codes with a one in front, which tells 0 from 00: what each stands for."""
    found: dict[int, int] = {}
    code = length = 0
    for bits, symbols in _SYMBOLS.items():
        code <<= bits - length
        length = bits
        for symbol in symbols:
            found[1 << bits | code] = symbol
            code += 1
    found[1 << length | code] = _END
    return found


_meaning = _counted()
_bits = {symbol: bin(code)[3:] for code, symbol in _meaning.items()}
_known: dict[int, tuple[int, bytes]] = {}
"""Steps of decoding: the beginning of a code (a one in front) and the byte that comes next, as one number -> what is
left over as a beginning, and what is complete. Steps are counted when they are met: few ever are."""
_MOST = 4096
_PADDING = frozenset((1 << count) - 1 for count in range(1, 9))
"""What may be left at the end: less than a byte, of ones."""


def decode(data: bytes) -> bytes:
    """Decode a string. Raises `BadBlock`."""
    begun = 1
    parts = []
    known = _known
    for byte in data:
        step = known.get(begun << 8 | byte)
        if step is None:
            step = _step(begun, byte)
        begun, text = step
        parts.append(text)
    if begun not in _PADDING:
        raise BadBlock("a string that ends within a symbol")
    return b"".join(parts)


def _step(begun: int, byte: int) -> tuple[int, bytes]:
    code, text = begun, bytearray()
    for shift in range(7, -1, -1):
        code = code << 1 | byte >> shift & 1
        symbol = _meaning.get(code)
        if symbol is not None:
            if symbol == _END:
                raise BadBlock("the end of a string within it")
            text.append(symbol)
            code = 1
    if len(_known) >= _MOST:
        _known.clear()
    step = _known[begun << 8 | byte] = code, bytes(text)
    return step


def encode(data: bytes) -> bytes:
    """Encode a string; the result may be longer than it was."""
    bits = "".join([_bits[byte] for byte in data])
    size = (len(bits) + 7) // 8
    return int(bits + "1" * (size * 8 - len(bits)), 2).to_bytes(size, "big") if size else b""
