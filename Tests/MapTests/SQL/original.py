"""Asks a map library of perdition 2.2 as perdition does: the library and an options string are the arguments, the keys
come in hexadecimal, one a line. A line of the result is the library's status and the value in hexadecimal, or
`signal` and its number where the library crashed: each key has a process of its own."""

import ctypes
import os
import sys

options = sys.argv[2].encode()
library = ctypes.CDLL(sys.argv[1])
library.dbserver_get.argtypes = [
    ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_size_t)]
if library.dbserver_init(options) != 0:
    sys.exit("dbserver_init failed")
keys = [bytes.fromhex(line) for line in sys.stdin]
for key in keys:
    child = os.fork()
    if child == 0:
        os.dup2(os.open("/dev/null", os.O_WRONLY), 2)
        value, length = ctypes.c_void_p(), ctypes.c_size_t()
        status = library.dbserver_get(key, options, ctypes.byref(value), ctypes.byref(length))
        text = ctypes.string_at(value).hex() if status == 0 and value.value else ""
        os.write(1, f"{status} {text}\n".encode())
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        os.write(1, f"signal {os.WTERMSIG(status)}\n".encode())
