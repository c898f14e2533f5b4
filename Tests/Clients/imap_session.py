"""A mail program's day with Python's imaplib: log in, append, search, fetch, be told of new mail, log out.

Usage: imap_session.py PORT USER PASSWORD WORD; WORD stands in the one message that waits in INBOX.
"""
import imaplib
import sys
import threading
import time

port, user, password, word = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]


def connect():
    return imaplib.IMAP4("127.0.0.1", port, timeout=30)


def check(what, condition):
    if not condition:
        sys.exit(f"failed: {what}")
    print(f"ok: {what}")


def expect_refusal(what, action):
    try:
        action()
    except imaplib.IMAP4.error:
        print(f"ok: {what}")
        return
    sys.exit(f"failed: {what}: accepted")


mailbox = connect()
check("capabilities before login", "IMAP4REV1" in mailbox.capabilities)
check("NOOP before login", mailbox.noop()[0] == "OK")
mailbox.login(user, password)
check("the welcome message", mailbox.select("INBOX") == ("OK", [b"1"]))
check("its text", word.encode() in mailbox.fetch("1", "(BODY[TEXT])")[1][0][1])

message = b"Subject: appended\r\n\r\nblue elephants\r\n"
check("APPEND", mailbox.append("INBOX", None, None, message)[0] == "OK")
check("SEARCH", mailbox.search(None, "BODY", '"blue elephants"') == ("OK", [b"2"]))
check("FETCH of what was appended", mailbox.fetch("2", "(RFC822)")[1][0][1] == message)
check("LIST", any(b"INBOX" in line for line in mailbox.list()[1]))

# IDLE: another session appends, this one must hear of it.
tag = mailbox._new_tag()
mailbox.send(tag + b" IDLE\r\n")
check("IDLE begins", mailbox.readline().startswith(b"+"))


def append():
    time.sleep(0.2)
    other = connect()
    other.login(user, password)
    other.append("INBOX", None, None, b"Subject: news\r\n\r\nnews\r\n")
    other.logout()


thread = threading.Thread(target=append)
thread.start()
while True:
    line = mailbox.readline()
    check("IDLE goes on", line != b"")
    if b"EXISTS" in line:
        break
check("IDLE tells of new mail", line.strip() == b"* 3 EXISTS")
thread.join()
mailbox.send(b"DONE\r\n")
while not mailbox.readline().startswith(tag):
    pass

check("STORE and EXPUNGE", mailbox.store("2:3", "+FLAGS", r"\Deleted")[0] == "OK" and mailbox.expunge()[0] == "OK")
check("one message is left", mailbox.select("INBOX") == ("OK", [b"1"]))
check("LOGOUT", mailbox.logout()[0] == "BYE")

# Names and passwords as literals, as other programs send them; imaplib sends text behind a literal itself.
mailbox = connect()
mailbox.literal = password.encode()
answer = mailbox._simple_command("LOGIN", user)
check("LOGIN with a literal password", answer[0] == "OK")
mailbox.state = "AUTH"
check("that session works", mailbox.select("INBOX") == ("OK", [b"1"]))
mailbox.logout()

mailbox = connect()
expect_refusal("a wrong password", lambda: mailbox.login(user, "wrong"))
mailbox.login(user, password)
check("another try on the same connection", mailbox.select("INBOX") == ("OK", [b"1"]))
mailbox.logout()
