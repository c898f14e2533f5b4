"""Logs in again and again, several sessions at a time, and counts what went wrong.

Usage: many_logins.py imap4|pop3 PORT COUNT AT_ONCE USER PASSWORD [USER PASSWORD ...]
Each user's name must stand in the message that waits. Prints `N logins, M failures`.
"""
import collections
import concurrent.futures
import imaplib
import poplib
import sys

protocol, port, count, at_once = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
users = list(zip(sys.argv[5::2], sys.argv[6::2]))


def imap4(user, password):
    mailbox = imaplib.IMAP4("127.0.0.1", port, timeout=60)
    mailbox.login(user, password)
    mailbox.select("INBOX", readonly=True)
    text = mailbox.fetch("1", "(BODY[TEXT])")[1][0][1]
    mailbox.logout()
    return text


def pop3(user, password):
    mailbox = poplib.POP3("127.0.0.1", port, timeout=60)
    mailbox.user(user)
    mailbox.pass_(password)
    text = b"\n".join(mailbox.retr(1)[1])
    mailbox.quit()
    return text


def once(number):
    user, password = users[number % len(users)]
    try:
        text = (imap4 if protocol == "imap4" else pop3)(user, password)
        return None if f"Hello {user},".encode() in text else f"{user} read {text!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
    faults = [fault for fault in pool.map(once, range(count)) if fault]
for fault, times in collections.Counter(faults).most_common(10):
    print(f"{times} times {fault}")
print(f"{count} logins, {len(faults)} failures")
