"""A private syslog: what the program under test says there, with facility and level."""

import os
import re
import socket
import threading
import time

FACILITIES = ("kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp audit alert clock "
              "local0 local1 local2 local3 local4 local5 local6 local7").split()
LEVELS = "emerg alert crit err warning notice info debug".split()
HEAD = re.compile(r"<(\d+)>(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d )?(.*)", re.S)
PID = re.compile(r"^([^\s\[:]+)\[\d+\]:")


class Syslog(threading.Thread):
    def __init__(self, path):
        super().__init__(daemon=True)
        self.lines, self.last = [], time.monotonic()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(path)
        os.chmod(path, 0o666)

    def run(self):
        while True:
            self.take(self.socket.recv(65536))

    def take(self, data):
        self.lines.append(line_of(data.rstrip(b"\0\n").decode("utf-8", "backslashreplace")))
        self.last = time.monotonic()

    def drain(self):
        """What was sent already, even if this thread has not had its turn."""
        try:
            while True:
                self.take(self.socket.recv(65536, socket.MSG_DONTWAIT))
        except BlockingIOError:
            pass

    def settle(self, quiet, limit):
        """Waits until nothing was said for `quiet` seconds, `limit` at most."""
        start = time.monotonic()
        while time.monotonic() - max(self.last, start) < quiet and time.monotonic() - start < limit:
            time.sleep(0.02)
        self.drain()


def line_of(text):
    """`mail.info name: message`: date and process number change from run to run."""
    head = HEAD.match(text)
    if not head:
        return text
    number = int(head[1])
    name = FACILITIES[number >> 3] if number >> 3 < len(FACILITIES) else str(number >> 3)
    message = PID.sub(r"\1:", head[2]).replace("\n", "\\n").replace("\r", "\\r")
    return f"{name}.{LEVELS[number & 7]} {message}"
