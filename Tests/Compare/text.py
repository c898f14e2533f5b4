"""Bytes as scripts write them and as reports show them."""

import re

ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})|\\([rnt0\"\\])|\{(.)\*(\d+)\}")
NAMED = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b'"': b'"', b"\\": b"\\"}


def decode(text):
    r"""`\r \n \t \0 \\ \xHH` and `{x*400}`, four hundred times x; everything else is itself, as UTF-8."""

    def one(match):
        if match[1]:
            return bytes([int(match[1], 16)])
        if match[2]:
            return NAMED[match[2]]
        return match[3] * int(match[4])

    return ESCAPE.sub(one, text.encode())


def shown(data):
    """One printable line for any bytes; long runs of one byte are counted."""
    text = "".join(
        chr(byte) if 32 <= byte < 127 else {13: "\\r", 10: "\\n", 9: "\\t"}.get(byte, f"\\x{byte:02x}")
        for byte in data)
    return re.sub(r"((?:\\x..)|.)\1{39,}", lambda run: f"{{{run[1]}*{len(run[0]) // len(run[1])}}}", text)


def shown_line(line):
    """A line as received: CRLF is what is expected and stays unsaid."""
    if line.endswith(b"\r\n"):
        return shown(line[:-2])
    return shown(line) + ("" if line.endswith(b"\n") else " (no line end)")
