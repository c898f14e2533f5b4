"""A socketmap server that knows nothing of perdition: python3 socketmap.py PATH KEY=VALUE ...

A value of "!wait" never comes, "!quit" hangs up, and "!raw X" sends X as it stands.
"""
import socketserver
import sys
import time

entries = dict(word.split("=", 1) for word in sys.argv[2:])


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while length := self.rfile.read(1):
            while not length.endswith(b":"):
                length += self.rfile.read(1)
            name, _, key = self.rfile.read(int(length[:-1])).partition(b" ")
            if name != b"popmap" or self.rfile.read(1) != b",":
                return
            value = entries.get(key.decode(), "")
            if value == "!quit":
                return
            if value == "!wait":
                time.sleep(60)
            if value.startswith("!raw "):
                self.wfile.write(value[5:].encode())
                continue
            reply = b"OK " + value.encode() if value else b"NOTFOUND "
            self.wfile.write(b"%d:%s," % (len(reply), reply))


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


Server(sys.argv[1], Handler).serve_forever()
