"""The client's side: a script of steps against the program under test, and a transcript of what came back."""

import pathlib
import socket
import ssl
import struct
import time

from text import decode, shown, shown_line


class Connection:
    """One TCP connection of the client, read by lines."""

    def __init__(self, label, host, port, source, record):
        self.label, self.record = label, record
        self.pending, self.ended, self.greeted = b"", False, False
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.socket.settimeout(5)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("::1" if ":" in host else "127.0.0.1", source))
        try:
            self.socket.connect((host, port))
        except OSError as error:
            self.say(f" cannot connect: {error.strerror}")
            self.ended = True

    def say(self, text):
        self.record.append(f"{self.label}{text}")

    def show_pending(self):
        for line in self.lines():
            self.say(f"< {shown_line(line)}")
        if self.pending:
            self.say(f"< {shown_line(self.pending)}")
            self.pending = b""

    def end(self):
        self.show_pending()
        if not self.ended:
            self.say(" closed")
        self.ended = True

    def fill(self, deadline):
        """Reads once; False when the time is up or the other end is gone."""
        left = deadline - time.monotonic()
        if self.ended or left <= 0:
            return False
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(65536)
        except (TimeoutError, ssl.SSLWantReadError):
            return False
        except OSError:
            data = b""
        if not data:
            self.end()
            return False
        self.pending += data
        return True

    def lines(self):
        while b"\n" in self.pending:
            line, _, self.pending = self.pending.partition(b"\n")
            yield line + b"\n"

    def expect(self, prefix, wait):
        if self.ended:
            return
        start = time.monotonic()
        while True:
            for line in self.lines():
                self.say(f"< {shown_line(line)}")
                if line.startswith(prefix):
                    elapsed = time.monotonic() - start
                    # Pauses are of three seconds and more; a busy machine is not to be taken for one.
                    # How soon a greeting comes says how busy a program that has just been started is.
                    if elapsed > 2.5 and self.greeted:
                        self.say(" after a pause" if elapsed < 5.5 else " after a long pause")
                    return
            if not self.fill(start + wait):
                if not self.ended:
                    self.say(" no answer")
                return

    def drain(self, wait, what=None):
        """Everything that comes within `wait` seconds, or until the close."""
        if self.ended:
            return
        deadline = time.monotonic() + wait
        while self.fill(deadline):
            pass
        if what and not self.pending and not self.ended:
            self.say(f" {what}")
        self.show_pending()

    def until_close(self, wait):
        if self.ended:
            return
        start = time.monotonic()
        while self.fill(start + wait):
            pass
        if not self.ended:
            self.show_pending()
            self.say(" still open")

    def send(self, data):
        self.greeted = True
        if self.ended:
            return
        self.say(f"> {shown(data)}")
        try:
            self.socket.settimeout(5)
            self.socket.sendall(data)
        except TimeoutError:
            self.say(" cannot send: the other end does not read")
        except OSError:
            pass  # What matters, the close, is seen by the next read.

    def secure(self, words):
        """TLS handshake; words: cert=<name> for a client certificate, max=<version>, min=<version>, host=<SNI>."""
        if self.ended:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        name = None
        for word in words:
            key, _, value = word.partition("=")
            if key == "cert":
                context.load_cert_chain(f"/srv/tls/{value}.crt", f"/srv/tls/{value}.key")
            elif key in ("max", "min"):
                version = getattr(ssl.TLSVersion, value)
                setattr(context, "maximum_version" if key == "max" else "minimum_version", version)
                if version < ssl.TLSVersion.TLSv1_2:
                    context.set_ciphers("ALL:@SECLEVEL=0")
            elif key == "ciphers":
                context.set_ciphers(value)
            elif key == "host":
                name = value
        try:
            self.socket.settimeout(10)
            self.socket = context.wrap_socket(self.socket, server_hostname=name)
            self.say(f" TLS {self.socket.version()} {self.socket.cipher()[0]} {certificate_of(self.socket)}")
        except TimeoutError:
            self.say(" TLS: no answer")
            self.ended = True
        except OSError:
            self.say(" TLS failed")
            self.ended = True

    def half(self):
        if not self.ended:
            try:
                self.socket.shutdown(socket.SHUT_WR)
                self.say(" sends no more")
            except OSError:
                pass

    def close(self, reset=False):
        try:
            if reset:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.close()
        except OSError:
            pass
        if not self.ended:
            self.say(" resets" if reset else " leaves")
        self.ended = True


def certificate_of(secure_socket):
    """The file the certificate came from."""
    der = secure_socket.getpeercert(binary_form=True)
    for path in sorted(pathlib.Path("/srv/tls").glob("*.crt")):
        if ssl.PEM_cert_to_DER_cert(first_certificate(path.read_text())) == der:
            return path.stem
    return "an unknown certificate"


def first_certificate(text):
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    return text[text.index(begin):text.index(end) + len(end)]


class Client:
    """Runs one script. Connections are numbered; `@2 > x` is a step of the second."""

    def __init__(self, label, script, host, port, source, wait, act):
        self.label, self.script, self.host, self.port = label, script, host, port
        self.source, self.wait, self.act = source, wait, act
        self.record, self.connections = [], {}

    def connection(self, number):
        if number not in self.connections:
            label = self.label if number == 1 else f"{self.label}@{number}"
            self.connections[number] = Connection(
                label, self.host, self.port, self.source + number, self.record)
        return self.connections[number]

    def run(self):
        for line in self.script.strip("\n").split("\n"):
            line = line.lstrip()
            if not line or line.startswith("#"):
                continue
            number = 1
            if line.startswith("@"):
                number, _, line = line[1:].partition(" ")
                number = int(number)
            self.step(number, line)
        for connection in list(self.connections.values()):
            connection.drain(0.15)
        for connection in self.connections.values():
            if not connection.ended:
                connection.say(" open at the end")
                connection.ended = True
            connection.close()

    def step(self, number, line):
        word, _, rest = line.partition(" ")
        if word == "<":
            self.connection(number).expect(decode(rest), self.wait)
        elif word == ">":
            self.connection(number).send(decode(rest) + b"\r\n")
        elif word == ">>":
            self.connection(number).send(decode(rest))
        elif word == "eof":
            self.connection(number).until_close(float(rest or self.wait))
        elif word == "quiet":
            self.connection(number).drain(float(rest or 1), "quiet")
        elif word == "tls":
            self.connection(number).secure(rest.split())
        elif word == "half":
            self.connection(number).half()
        elif word == "close":
            self.connection(number).close()
        elif word == "reset":
            self.connection(number).close(reset=True)
        elif word == "connect":
            self.connection(number)
        elif word == "pause":
            time.sleep(float(rest))
        else:
            self.act(word, rest, self.record)
