"""Many connections that come to nothing, held open by a process of their own.

Usage: flood_client.py KIND COUNT PORT. Prints `there` when all have said what they have to say; then answers lines:
`drip` (each sends one more byte) with `dripped`, `count` with how many the proxy still has.
"""
import ctypes
import ctypes.util
import resource
import socket
import sys

RECORD = bytes([22, 3, 1, 0x40, 0, 1, 0, 0x3F, 0xFC, 3, 3]) + b"\7" * 8000
WORDS = {
    "silent": b"", "slow": b"a", "endless-line": b"a LOGIN " + b"x" * 8000,
    "endless-literal": b"a LOGIN {4096+}\r\n" + b"x" * 4096 + b" {4096+}\r\n" + b"y" * 4000,
    "stalled-starttls": b"a STARTTLS\r\n", "stalled-handshake": b"a STARTTLS\r\n", "renegotiating": b"a STARTTLS\r\n",
    "deaf": b"a CAPABILITY\r\n" * 900, "deaf-session": b"a LOGIN joe secret\r\n",
}


class Renegotiation:
    """TLS 1.2 by OpenSSL, which then asks for another handshake and never reads what is said to it."""

    def __init__(self):
        self.ssl = ctypes.CDLL(ctypes.util.find_library("ssl"))
        for name in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
            getattr(self.ssl, name).restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(self.ssl.SSL_CTX_new(ctypes.c_void_p(self.ssl.TLS_client_method())))
        # SSL_CTRL_SET_MAX_PROTO_VERSION, TLS 1.2: the last that has renegotiation.
        self.ssl.SSL_CTX_ctrl(self.context, 124, ctypes.c_long(0x0303), None)

    def ask(self, connection):
        session = ctypes.c_void_p(self.ssl.SSL_new(self.context))
        self.ssl.SSL_set_fd(session, connection.fileno())
        if self.ssl.SSL_connect(session) != 1:
            sys.exit("the handshake fails")
        connection.setblocking(False)
        if self.ssl.SSL_renegotiate(session) != 1:
            sys.exit("there is no renegotiation")
        self.ssl.SSL_do_handshake(session)


def line(connection):
    heard = b""
    while not heard.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            sys.exit(f"the proxy hangs up: {heard!r}")
        heard += byte
    return heard


def enter(kind, port, renegotiation):
    connection = socket.socket()
    if kind.startswith("deaf"):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(120)
    connection.connect(("127.0.0.1", port))
    if kind != "deaf":
        line(connection)
    connection.sendall(WORDS[kind])
    if b"STARTTLS" in WORDS[kind]:
        if not line(connection).startswith(b"a OK"):
            sys.exit("STARTTLS is refused")
        if kind == "stalled-handshake":
            connection.sendall(RECORD)
    if kind == "renegotiating":
        connection.settimeout(None)
        renegotiation.ask(connection)
    if kind == "deaf-session":
        while not line(connection).startswith(b"a OK"):
            pass
    return connection


def is_there(connection):
    """Nothing to read, or something; but not the end. What is unread may be ahead of an end, so the state decides."""
    # tcpi_state of TCP_INFO: 1 is ESTABLISHED.
    return connection.getsockopt(socket.IPPROTO_TCP, 11, 1) == b"\1"


def main():
    kind, count, port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    renegotiation = Renegotiation() if kind == "renegotiating" else None
    connections = [enter(kind, port, renegotiation) for _ in range(count)]
    print("there", flush=True)
    for order in sys.stdin:
        if order.strip() == "drip":
            for connection in connections:
                try:
                    connection.send(b"x")
                except OSError:
                    # It has been sent away, and is counted as such.
                    pass
            print("dripped", flush=True)
        else:
            print(sum(map(is_there, connections)), flush=True)


main()
