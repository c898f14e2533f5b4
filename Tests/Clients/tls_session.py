"""Python's imaplib and poplib over TLS: the capabilities ahead of it and behind, a refused login, a login, one message.

Usage: tls_session.py imap4|pop3 PORT starttls|ssl CAFILE USER PASSWORD WORD; WORD stands in the one message.
"""
import imaplib
import poplib
import ssl
import sys

protocol, port, security, authority, user, password, word = sys.argv[1:]
port = int(port)
context = ssl.create_default_context(cafile=authority)


def check(what, condition):
    if not condition:
        sys.exit(f"failed: {what}")
    print(f"ok: {what}")


def refused(what, action, error):
    try:
        action()
    except error:
        print(f"ok: {what}")
        return
    sys.exit(f"failed: {what}: accepted")


def imap4():
    if security == "ssl":
        mailbox = imaplib.IMAP4_SSL("localhost", port, ssl_context=context, timeout=30)
    else:
        mailbox = imaplib.IMAP4("localhost", port, timeout=30)
        check("STARTTLS is on offer", "STARTTLS" in mailbox.capabilities)
        check("STARTTLS", mailbox.starttls(ssl_context=context)[0] == "OK")
    check("no STARTTLS behind TLS", "STARTTLS" not in mailbox.capabilities)
    check("no LOGINDISABLED behind TLS", "LOGINDISABLED" not in mailbox.capabilities)
    refused("a wrong password", lambda: mailbox.login(user, "wrong"), imaplib.IMAP4.error)
    check("LOGIN", mailbox.login(user, password)[0] == "OK")
    check("SELECT", mailbox.select("INBOX") == ("OK", [b"1"]))
    check("the message", word.encode() in mailbox.fetch("1", "(BODY[TEXT])")[1][0][1])
    check("LOGOUT", mailbox.logout()[0] == "BYE")


def pop3():
    if security == "ssl":
        mailbox = poplib.POP3_SSL("localhost", port, context=context, timeout=30)
    else:
        mailbox = poplib.POP3("localhost", port, timeout=30)
        check("STLS is on offer", "STLS" in mailbox.capa())
        check("STLS", mailbox.stls(context=context).startswith(b"+OK"))
    check("no STLS behind TLS", "STLS" not in mailbox.capa())
    mailbox.user(user)
    refused("a wrong password", lambda: mailbox.pass_("wrong"), poplib.error_proto)
    mailbox.user(user)
    check("PASS", mailbox.pass_(password).startswith(b"+OK"))
    check("STAT", mailbox.stat()[0] == 1)
    check("the message", any(word.encode() in line for line in mailbox.retr(1)[1]))
    check("QUIT", mailbox.quit().startswith(b"+OK"))


{"imap4": imap4, "pop3": pop3}[protocol]()
