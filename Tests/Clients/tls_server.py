"""An IMAP4 server over TLS that lets everybody in and prints `new` or `resumed` for each login.

Usage: tls_server.py PORT CERTIFICATE KEY
"""
import socket
import ssl
import sys

port, certificate, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
listener = socket.create_server(("127.0.0.1", port))
while True:
    raw, _ = listener.accept()
    with context.wrap_socket(raw, server_side=True) as connection:
        connection.sendall(b"* OK [CAPABILITY IMAP4rev1] hello\r\n")
        tag = connection.recv(4096).split(b" ")[0]
        print("resumed" if connection.session_reused else "new", flush=True)
        connection.sendall(tag + b" OK in\r\n")
        connection.recv(4096)
