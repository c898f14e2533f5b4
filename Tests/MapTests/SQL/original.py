"""Asks a map library of perdition 2.2, as perdition itself does: library and options string are the arguments, the
keys come in hexadecimal, one a line; a line of the result is the library's status and, in hexadecimal, the value."""

import ctypes
import sys

library = ctypes.CDLL(sys.argv[1])
library.dbserver_get.argtypes = [
    ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_size_t)]
# An empty options string is none: that is how perdition calls it.
options = sys.argv[2].encode()
if library.dbserver_init(options) != 0:
    sys.exit("dbserver_init failed")
for line in sys.stdin:
    value, length = ctypes.c_void_p(), ctypes.c_size_t()
    status = library.dbserver_get(bytes.fromhex(line), options, ctypes.byref(value), ctypes.byref(length))
    text = ctypes.string_at(value).hex() if status == 0 and value.value else ""
    print(status, text, flush=True)
