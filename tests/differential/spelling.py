r"""How bytes are written in the files of cases.

`\r \n \t \s \\ \xNN` are those bytes (`\s` is a space where one could not be seen), `\(9000*text)` is the text 9000
times. Line breaks of the file, and spaces around its lines, stand for nothing.
"""

import re

_PART = re.compile(r"\\(?:x([0-9a-fA-F]{2})|\((\d+)\*([^)]*)\)|(.))|([^\\]+)", re.DOTALL)
_SHORT = {"r": b"\r", "n": b"\n", "t": b"\t", "s": b" ", "\\": b"\\"}


def unspelled(text: str) -> bytes:
    """The bytes; `KeyError` on an escape that is none."""
    out = bytearray()
    for code, count, repeated, short, plain in _PART.findall(text):
        if code:
            out.append(int(code, 16))
        elif count:
            out += unspelled(repeated) * int(count)
        elif short:
            out += _SHORT[short]
        else:
            out += plain.encode("latin-1")
    return bytes(out)


def spelled(data: bytes, most: int = 4000) -> str:
    """Bytes for a person to read."""
    text = data[:most].decode("latin-1").encode("unicode_escape").decode("ascii")
    return text + (f"... ({len(data)} bytes)" if len(data) > most else "")
