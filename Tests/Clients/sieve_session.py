"""Someone looks after Sieve scripts, with Debian's python3-sievelib.

Usage: sieve_session.py PORT USER PASSWORD [starttls]; sievelib 1.2 does not look at certificates.
"""
import sys

from sievelib.managesieve import Client

port, user, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]
starttls = sys.argv[4:] == ["starttls"]
SCRIPT = 'require ["fileinto"];\r\n# "quotes" and \\backslashes\r\nfileinto "Böx";\r\n'


def check(what, condition):
    if not condition:
        sys.exit(f"failed: {what}")
    print(f"ok: {what}")


def connect(password):
    client = Client("127.0.0.1", port)
    return client, client.connect(user, password, starttls=starttls, authmech="PLAIN")


client, entered = connect(password)
check("login", entered)
check("the capabilities are the proxy's", client.get_sasl_mechanisms() == ["PLAIN"])
check("no scripts", client.listscripts() == (None, []))
check("HAVESPACE", client.havespace("one", 100))
check("PUTSCRIPT", client.putscript("one", SCRIPT))
check("GETSCRIPT", client.getscript("one").splitlines() == SCRIPT.splitlines())
check("CHECKSCRIPT finds a fault", not client.checkscript("nonsense here"))
check("SETACTIVE", client.setactive("one") and client.listscripts() == ("one", []))
check("RENAMESCRIPT", client.renamescript("one", "two") and client.listscripts() == ("two", []))
check("SETACTIVE of nothing", client.setactive("") and client.listscripts()[0] is None)
check("DELETESCRIPT", client.deletescript("two") and client.listscripts() == (None, []))
client.logout()

client, entered = connect("wrong")
check("a wrong password", not entered and b"failed: Re-Authentication Failure" in client.errmsg)
