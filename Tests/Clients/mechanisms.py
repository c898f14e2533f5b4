"""Logs in by every mechanism of SASL, with and without an initial response, with secrets that are right and wrong.

Usage: mechanisms.py imap4|pop3|managesieve PORT USER PASSWORD KEY MASTER MASTERPASSWORD; KEY signs the tokens, MASTER
may act as USER.
"""
import base64
import hashlib
import hmac
import json
import socket
import sys
import time

protocol, port, user, password, key, master, master_password = sys.argv[1:]


def check(what, condition, *facts):
    if not condition:
        sys.exit(f"failed: {what} {facts}")
    print(f"ok: {what}")


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def token(signed_with):
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    now = int(time.time())
    head = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    body = head + b"." + part(json.dumps({"sub": user, "iat": now - 5, "exp": now + 600}).encode())
    return (body + b"." + part(hmac.new(signed_with.encode(), body, hashlib.sha256).digest())).decode()


class Talk:
    """One connection: lines out and in, and what each protocol writes in its own way."""

    def __init__(self):
        self.socket = socket.create_connection(("127.0.0.1", int(port)), timeout=30)
        self.file = self.socket.makefile("rb")
        self.greeting = self.until(lambda line: protocol != "managesieve" or line.startswith("OK"))

    def line(self):
        return self.file.readline().decode().rstrip("\r\n")

    def until(self, last):
        lines = [self.line()]
        while not last(lines[-1]):
            lines.append(self.line())
        return lines

    def send(self, text):
        self.socket.sendall(f"{text}\r\n".encode())

    def begin(self, mechanism, initial):
        if protocol == "managesieve":
            self.send(f'AUTHENTICATE "{mechanism}"' + ("" if initial is None else f' "{initial}"'))
        else:
            command = "a AUTHENTICATE" if protocol == "imap4" else "AUTH"
            self.send(f"{command} {mechanism}" + ("" if initial is None else f" {initial}"))

    def respond(self, text):
        self.send(f'"{text}"' if protocol == "managesieve" else text)

    def answer(self):
        """Whether the login is through (None: a challenge), and the text."""
        line = self.until(lambda line: not line.startswith("* "))[-1]
        if protocol == "managesieve":
            return (None, line.strip('"')) if line.startswith('"') else (line.startswith("OK"), line)
        if protocol == "imap4":
            return (None, line[2:]) if line.startswith("+") else (line.startswith("a OK"), line)
        return (None, line[2:]) if line.startswith("+ ") else (line.startswith("+OK"), line)

    def works(self):
        """Whether the connection has reached the user's own mail."""
        self.send({"imap4": "b SELECT INBOX", "pop3": "STAT", "managesieve": "LISTSCRIPTS"}[protocol])
        last = self.until(lambda line: line.startswith(("b ", "+OK", "-ERR", "OK", "NO")))[-1]
        return last.startswith(("b OK", "+OK 1 ", "OK"))


def log_in(mechanism, responses, ahead):
    """Plays an exchange; the answer, and what was asked on the way."""
    talk, asked = Talk(), []
    left = list(responses)
    talk.begin(mechanism, left.pop(0) if ahead else None)
    while True:
        done, text = talk.answer()
        if done is not None:
            return talk, done, text, asked
        asked.append(text)
        talk.respond(left.pop(0) if left else ("AQ==" if mechanism == "OAUTHBEARER" else ""))


def messages(secret, signed_with):
    bearer = f"auth=Bearer {token(signed_with)}\1\1"
    return {
        "PLAIN": [encoded(f"\0{user}\0{secret}")],
        "LOGIN": [encoded(user), encoded(secret)],
        "XOAUTH2": [encoded(f"user={user}\1{bearer}")],
        "OAUTHBEARER": [encoded(f"n,a={user},\1host=127.0.0.1\1port={port}\1{bearer}")],
    }


for ahead in (False, True):
    for mechanism, responses in messages(password, key).items():
        talk, done, text, asked = log_in(mechanism, responses, ahead)
        check(f"{mechanism} ahead={ahead}", done, text, asked)
        check("challenges as RFC 4616 and its like have them", len(asked) == len(responses) - ahead, asked)
        check("it is the user's mail", talk.works())
for mechanism, responses in messages("wrong", "x" * 32).items():
    talk, done, text, asked = log_in(mechanism, responses, True)
    check(f"{mechanism} with a wrong secret", done is False and "Re-Authentication Failure" in text, text)
    if mechanism.startswith(("X", "O")):
        account = json.loads(base64.b64decode(asked[-1]))
        check("the real server's account of it", "status" in account, account)
talk, done, text, asked = log_in("PLAIN", [encoded(f"{user}\0{master}\0{master_password}")], True)
check("PLAIN as another", done and talk.works(), text)
talk, done, text, asked = log_in("PLAIN", [encoded(f"{user}\0{master}\0wrong")], True)
check("PLAIN as another with a wrong secret", done is False, text)
print("ok: all")
