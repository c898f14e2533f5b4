"""A mail program's day with Python's poplib.

Usage: pop3_session.py PORT USER PASSWORD WORD; WORD stands in the one message that waits.
"""
import poplib
import sys

port, user, password, word = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]


def connect():
    return poplib.POP3("127.0.0.1", port, timeout=30)


def check(what, condition):
    if not condition:
        sys.exit(f"failed: {what}")
    print(f"ok: {what}")


mailbox = connect()
check("capabilities before login", "UIDL" in mailbox.capa() and "USER" in mailbox.capa())
mailbox.user(user)
mailbox.pass_(password)
check("STAT", mailbox.stat()[0] == 1)
check("UIDL", len(mailbox.uidl()[1]) == 1)
check("RETR", any(word.encode() in line for line in mailbox.retr(1)[1]))
check("TOP", mailbox.top(1, 1)[0].startswith(b"+OK"))
check("DELE and RSET", mailbox.dele(1).startswith(b"+OK") and mailbox.rset().startswith(b"+OK"))
check("QUIT", mailbox.quit().startswith(b"+OK"))

mailbox = connect()
mailbox.user(user)
try:
    mailbox.pass_("wrong")
    sys.exit("failed: a wrong password is accepted")
except poplib.error_proto as error:
    check("a wrong password", "-ERR [AUTH] failed: Re-Authentication Failure" in str(error))
mailbox.user(user)
mailbox.pass_(password)
check("another try on the same connection", mailbox.stat()[0] == 1)
mailbox.quit()
