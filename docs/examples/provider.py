#!/usr/bin/env python3
"""A map provider for perdition that answers from a file of lines user:server.

perdition --map_library /path/of/provider.py --map_library_opt FILE
provider.py FILE SOCKET, and then perdition --map_library unix:SOCKET
"""
import os, socket, socketserver, sys

by_perdition = "LISTEN_FDS" in os.environ
path = os.environ["PERDITION_MAP_LIBRARY_OPT"] if by_perdition else sys.argv[1]

def look_up(key):
    try:
        for line in open(path, "rb"):
            user, _, server = line.rstrip(b"\n").partition(b":")
            if user == key and server:
                return b"OK " + server
        return b"NOTFOUND "
    except OSError as error:
        return b"TEMP " + str(error).encode()

class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        while length := self.rfile.read(1):  # a netstring: LENGTH:MAP KEY,
            while length.isdigit() and len(length) < 5:
                length += self.rfile.read(1)
            if not length[:-1].isdigit() or length[-1:] != b":":
                return
            request = self.rfile.read(int(length[:-1]) + 1)
            reply = look_up(request[:-1].partition(b" ")[2])
            self.wfile.write(b"%d:%s," % (len(reply), reply))

server = socketserver.ThreadingUnixStreamServer(sys.argv[-1], Connection, not by_perdition)
if by_perdition:
    server.socket = socket.socket(fileno=3)
else:
    os.chmod(sys.argv[-1], 0o666)
server.serve_forever()
