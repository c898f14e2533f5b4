"""The real server's side: small servers that answer as the case says and keep what they received."""

import base64
import re
import socket
import ssl
import struct
import threading
import time

from text import decode, shown, shown_line

PORTS = {"imap": 143, "pop": 110, "sieve": 4190}
SECURE_PORTS = {"imap": 993, "pop": 995, "sieve": 4190}
GREETINGS = {
    "imap": "* OK {name} is ready",
    "pop": "+OK {name} is ready",
    "sieve": '"IMPLEMENTATION" "{name}"\n"SASL" "PLAIN"\n"SIEVE" "fileinto"\nOK "{name} is ready"',
}
REPLIES = {
    "imap": {
        "CAPABILITY": "* CAPABILITY IMAP4rev1\n{tag} OK capabilities of {name}",
        "LITERAL": "+ go on",
        "CONTINUE": "+ ",
        "LOGGED IN": "{tag} OK [CAPABILITY IMAP4rev1 IDLE] logged in on {name}",
        "REFUSED": "{tag} NO [AUTHENTICATIONFAILED] {name} does not know you",
        "LOGOUT": "* BYE {name} leaves\n{tag} OK logged out<close>",
        "STARTTLS": "{tag} OK begin TLS<tls>",
        "NOOP": "{tag} OK nothing done on {name}",
        "*": "{tag} BAD {name} does not know that",
    },
    "pop": {
        "CAPA": "+OK list follows\nUSER\nUIDL\n.",
        "USER": "+OK go on",
        "LOGGED IN": "+OK logged in on {name}",
        "REFUSED": "-ERR {name} does not know you",
        "QUIT": "+OK {name} leaves<close>",
        "STLS": "+OK begin TLS<tls>",
        "STAT": "+OK 2 320",
        "NOOP": "+OK nothing done on {name}",
        "*": "-ERR {name} does not know that",
    },
    "sieve": {
        "CAPABILITY": GREETINGS["sieve"],
        "LOGGED IN": 'OK "logged in on {name}"',
        "REFUSED": 'NO "{name} does not know you"',
        "LOGOUT": 'OK "{name} leaves"<close>',
        "STARTTLS": 'OK "begin TLS"<tls>' + GREETINGS["sieve"],
        "NOOP": 'OK "nothing done on {name}"',
        "LISTSCRIPTS": '"main" ACTIVE\nOK "listed"',
        "*": 'NO "{name} does not know that"',
    },
}
MARK = re.compile(r"(<(?:close|reset|tls|hang|half|part|pause [\d.]+)>)")


class Gone(Exception):
    """The connection is over."""


class RealSession(threading.Thread):
    """One connection from the program under test."""

    def __init__(self, server, connection):
        super().__init__(daemon=True)
        self.server, self.socket = server, connection
        self.pending, self.record, self.over, self.counts = b"", [], False, {}
        self.user, self.wire, self.answered = None, [], ""

    def say(self, text):
        self.record.append(text)
        self.wire.append(text)

    def say_meaning(self, text, start):
        """In place of the lines since `start`: how a name is quoted is for the cases that compare the wire itself."""
        self.record[start:] = [text]

    def run(self):
        try:
            if self.server.tls:
                self.secure()
            self.answer("GREETING", self.server.greeting)
            getattr(self, self.server.protocol)()
        except Gone:
            pass
        except OSError:
            self.say(" closed")
        self.over = True
        try:
            self.socket.close()
        except OSError:
            pass

    def secure(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        names = []
        context.sni_callback = lambda _, name, __: names.append(name)
        certificate = f"/srv/tls/{self.server.cert}"
        context.load_cert_chain(f"{certificate}.crt", f"{certificate}.key")
        if self.server.client_ca:
            context.load_verify_locations("/srv/tls/ca.crt")
            context.verify_mode = ssl.CERT_REQUIRED
        try:
            self.socket.settimeout(30)
            self.socket = context.wrap_socket(self.socket, server_side=True)
            self.say(f" TLS {self.socket.version()} name asked for: {names[0] if names else None}")
        except OSError:
            self.say(" TLS failed")
            raise Gone from None

    def line(self):
        while b"\n" not in self.pending:
            try:
                data = self.socket.recv(65536)
            except OSError:
                data = b""
            if not data:
                if self.pending:
                    self.say(f"< {shown_line(self.pending)}")
                self.say(" closed")
                raise Gone
            self.pending += data
            if self.pending.startswith(b"\x16\x03"):
                self.swallow_handshake()
        line, _, self.pending = self.pending.partition(b"\n")
        self.say("< " + shown_line(line + b"\n"))
        return line.rstrip(b"\r").decode("latin-1")

    def swallow_handshake(self):
        """A handshake where clear text was due is full of random bytes: that it came is all there is to tell."""
        self.say(" a TLS handshake, not expected here")
        self.pending = b""
        try:
            while self.socket.recv(65536):
                pass
        except OSError:
            pass
        self.say(" closed")
        raise Gone

    def answer(self, key, text=None, tag=""):
        """Sends the case's reply to `key`; the second time `key2` goes ahead of `key`, and so on."""
        self.counts[key] = self.counts.get(key, 0) + 1
        replies = {**REPLIES[self.server.protocol], **self.server.reply}
        text = self.server.reply.get(f"{key}{self.counts[key]}", replies.get(key, text))
        if text is None:
            text = replies["*"]
        text = text.replace("{tag}", tag).replace("{name}", self.server.name)
        self.answered = text
        parts = MARK.split(text)
        for position, part in enumerate(parts):
            if not part:
                continue
            if part.startswith("<") and part.endswith(">") and MARK.fullmatch(part):
                self.mark(part[1:-1].split())
            else:
                data = b"".join(decode(line) + b"\r\n" for line in part.strip("\n").split("\n"))
                if parts[position + 1:position + 2] == ["<part>"]:
                    data = data[:-2]
                self.socket.sendall(data)

    def mark(self, words):
        if words[0] == "pause":
            time.sleep(float(words[1]))
        elif words[0] == "tls":
            self.pending = b""
            self.secure()
        elif words[0] == "half":
            self.socket.shutdown(socket.SHUT_WR)
        elif words[0] == "hang":
            while True:
                self.line()
        elif words[0] in ("close", "reset"):
            if words[0] == "reset":
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.say(" ends it")
            raise Gone

    def allowed(self, user, password):
        if password != self.server.password or self.server.user not in (None, user):
            return False
        self.user = user
        return True

    def imap(self):
        while True:
            start = len(self.record)
            tag, _, rest = self.line().partition(" ")
            if self.user is None:
                self.say_meaning(f"< tag {shown(rest.encode('latin-1'))}", start)
            command, _, rest = rest.partition(" ")
            command = command.upper()
            if command == "LOGIN":
                arguments = self.imap_arguments(rest, tag)
                if arguments is None:
                    continue
                told = ", ".join(shown(each.encode("latin-1")) for each in arguments)
                self.say_meaning(f"< tag LOGIN of {told}", start)
                verdict = len(arguments) == 2 and self.allowed(*arguments)
                self.answer("LOGGED IN" if verdict else "REFUSED", tag=tag)
            elif command == "AUTHENTICATE":
                _, _, first = rest.partition(" ")
                if not first:
                    self.answer("CONTINUE")
                    first = self.line()
                self.answer("LOGGED IN" if self.plain(first) else "REFUSED", tag=tag)
            else:
                self.answer(command, tag=tag)

    def imap_arguments(self, rest, tag):
        arguments = []
        while rest:
            literal = re.fullmatch(r"\{(\d+)(\+?)\}", rest)
            if literal:
                if not literal[2]:
                    self.answer("LITERAL", tag=tag)
                    if not self.answered.startswith("+"):
                        return None
                value, size = "", int(literal[1])
                rest = self.line()
                value, rest = rest[:size], rest[size:].lstrip(" ")
                arguments.append(value)
            elif rest.startswith('"'):
                quoted = re.match(r'"((?:\\.|[^"\\])*)" ?', rest)
                if not quoted:
                    break
                arguments.append(re.sub(r"\\(.)", r"\1", quoted[1]))
                rest = rest[quoted.end():]
            else:
                value, _, rest = rest.partition(" ")
                arguments.append(value)
        return arguments

    def plain(self, text):
        try:
            _, user, password = base64.b64decode(text.strip('"')).decode("latin-1").split("\0")
        except ValueError:
            return False
        return self.allowed(user, password)

    def pop(self):
        while True:
            command, _, rest = self.line().partition(" ")
            command = command.upper()
            if command == "USER":
                self.user = rest
                self.answer("USER")
            elif command == "PASS":
                self.answer("LOGGED IN" if self.allowed(self.user, rest) else "REFUSED")
            else:
                self.answer(command)

    def sieve(self):
        while True:
            command, _, rest = self.line().partition(" ")
            command = command.upper()
            if command == "AUTHENTICATE":
                _, _, first = rest.partition(" ")
                if re.fullmatch(r"\{\d+\+?\}", first):
                    first = self.line()
                self.answer("LOGGED IN" if self.plain(first) else "REFUSED")
            else:
                self.answer(command)

    def silent(self):
        while True:
            self.line()


class RealServer(threading.Thread):
    """Listens where the case says and starts a session for each connection."""

    def __init__(self, description, protocol):
        super().__init__(daemon=True)
        self.name = description.get("name", "one")
        self.address = description.get("address", "127.0.0.2")
        self.protocol = description.get("protocol", protocol)
        self.tls = description.get("tls", False)
        self.port = description.get("port", (SECURE_PORTS if self.tls else PORTS).get(self.protocol, 0))
        self.cert = description.get("cert", "one")
        self.client_ca = description.get("client_ca", False)
        self.greeting = description.get("greeting", GREETINGS.get(self.protocol, ""))
        self.reply = description.get("reply", {})
        self.user, self.password = description.get("user"), description.get("password", "secret")
        self.sessions = []
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        self.listener = socket.create_server((self.address, self.port), family=family, backlog=64)

    def run(self):
        while True:
            connection, _ = self.listener.accept()
            session = RealSession(self, connection)
            self.sessions.append(session)
            session.start()

    def views(self, in_order):
        """What each connection brought, in meaning and to the letter.

        Several clients at once arrive in any order, so theirs go by their text.
        """
        for session in self.sessions:
            if not session.over:
                session.say(" open at the end")
        both = [[session.record for session in self.sessions], [session.wire for session in self.sessions]]
        if not in_order:
            # Which of them was asked what it can do is as much by chance as their order; `wire` has it.
            both[0] = [[line for line in record if line not in ("< tag CAPABILITY", "< CAPA")] for record in both[0]]
            both = [sorted(records) for records in both]
        return [
            [
                f"{self.name}#{number if in_order else 'n'}{line}"
                for number, record in enumerate(records, 1) for line in record
            ] for records in both]
