"""Asks a map library of the original perdition.

python3 original.py LIBRARY OPTIONS < KEYS: a line of KEYS is a key in hexadecimal. For each a line is printed: the
library's status (0 found, -1 the database failed, -2 not found, -3 anything else) and the value in hexadecimal, or
"crash". `*` for OPTIONS is none at all. Each key has a process of its own, so that a crash costs one answer.
"""
import ctypes
import locale
import os
import sys

# perdition never leaves the C locale; Python does.
locale.setlocale(locale.LC_ALL, "C")
library = ctypes.CDLL(sys.argv[1])
options = None if sys.argv[2] == "*" else ctypes.create_string_buffer(os.fsencode(sys.argv[2]))
try:
    start = library.dbserver_init
except AttributeError:
    start = None
if start is not None:
    status = start(options)
    if status:
        print("init", status)
        sys.exit(0)


def ask(key):
    value, length = ctypes.c_void_p(), ctypes.c_size_t()
    status = library.dbserver_get(
        ctypes.create_string_buffer(key), options, ctypes.byref(value), ctypes.byref(length))
    return f"{status} {ctypes.string_at(value, length.value).hex() if status == 0 else ''}\n"


for line in sys.stdin:
    key = bytes.fromhex(line.strip())
    source, target = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(target, ask(key).encode())
        os._exit(0)
    os.close(target)
    with os.fdopen(source, "rb") as pipe:
        answer = pipe.read().decode()
    os.waitpid(child, 0)
    sys.stdout.write(answer or "crash\n")
