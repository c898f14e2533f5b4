"""Sessions of mail programs that people use. Each brings a marker along, and has to find it again."""
import imaplib
import poplib
import re
import ssl
import subprocess
import threading

from sievelib.managesieve import Client as SieveClient

from stores import HOST

# Seconds; see proxy.PATIENCE. Five are sievelib's own.
PATIENCE = 400
SieveClient.read_timeout = PATIENCE


class Ending:
    """A socket whose end is an error: sievelib reads on for ever where a connection ends ahead of the answer."""

    def __init__(self, socket):
        self.socket = socket

    def __getattr__(self, name):
        return getattr(self.socket, name)

    def recv(self, size):
        data = self.socket.recv(size)
        if not data:
            raise EOFError("the connection has ended")
        return data


class Sieve(SieveClient):
    @property
    def sock(self):
        return self.ending

    @sock.setter
    def sock(self, socket):
        self.ending = socket and Ending(socket)


class Lost(Exception):
    """A session that did not do what it should have."""


class Crossed(Exception):
    """A session that found what belongs to another."""


class Visit:
    """Who comes, how, to which proxy, and with which marker."""

    def __init__(self, proxy, security, user, password, store, marker, folder, authority):
        self.proxy, self.security, self.user, self.password = proxy, security, user, password
        self.store, self.marker, self.folder, self.authority = store, marker, folder, authority

    @property
    def context(self):
        return ssl.create_default_context(cafile=self.authority)

    def recognize(self, text):
        """The welcome message has to be this user's."""
        if self.store.welcome(self.user) not in text:
            raise (Crossed if "I am " in text else Lost)(f"{self.user} of {self.store.label} read {text[:200]!r}")

    def find(self, text):
        if self.marker not in text:
            raise (Crossed if "marker-" in text else Lost)(f"{self.marker} has not come back: {text[:300]!r}")

    def run(self, *command, text=None):
        done = subprocess.run([str(word) for word in command], input=text, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=PATIENCE, errors="replace")
        if done.returncode:
            raise Lost(f"{command[0]}: exit status {done.returncode}: {done.stdout[-500:]}")
        return done.stdout


def with_imaplib(visit):
    if visit.security == "tls":
        mailbox = imaplib.IMAP4_SSL("localhost", visit.proxy.port, ssl_context=visit.context, timeout=PATIENCE)
    else:
        mailbox = imaplib.IMAP4(HOST, visit.proxy.port, timeout=PATIENCE)
        if visit.security == "starttls":
            mailbox.host = "localhost"
            mailbox.starttls(ssl_context=visit.context)
    mailbox.login(visit.user, visit.password)
    mailbox.select("INBOX")
    visit.recognize(mailbox.fetch("1", "(BODY[TEXT])")[1][0][1].decode())
    message = f"Subject: {visit.marker}\r\n\r\n{visit.marker} {visit.user}\r\n"
    mailbox.append("INBOX", None, None, message.encode())
    mailbox.noop()
    _, found = mailbox.uid("SEARCH", None, "HEADER", "SUBJECT", visit.marker)
    if not found[0]:
        raise Lost(f"{visit.marker} is not in the mailbox it was put in")
    number = found[0].split()[-1].decode()
    read = mailbox.uid("FETCH", number, "(RFC822)")[1][0][1].decode()
    visit.find(read)
    if read != message:
        raise Lost(f"{message!r} has become {read!r}")
    mailbox.uid("STORE", number, "+FLAGS", r"(\Deleted)")
    mailbox.expunge()
    mailbox.logout()


def with_poplib(visit):
    visit.store.deliver(visit.user, visit.marker, visit.marker)
    if visit.security == "tls":
        mailbox = poplib.POP3_SSL("localhost", visit.proxy.port, context=visit.context, timeout=PATIENCE)
    else:
        mailbox = poplib.POP3("localhost", visit.proxy.port, timeout=PATIENCE)
        if visit.security == "starttls":
            mailbox.stls(context=visit.context)
    mailbox.user(visit.user)
    mailbox.pass_(visit.password)
    count = mailbox.stat()[0]
    visit.recognize("\n".join(line.decode() for line in mailbox.retr(1)[1]))
    visit.find("\n".join(line.decode() for line in mailbox.retr(count)[1]))
    mailbox.dele(count)
    mailbox.quit()


def curl(visit, path, *options):
    scheme = {"imap4": "imap", "pop3": "pop3"}[visit.proxy.protocol] + ("s" if visit.security == "tls" else "")
    secure = [] if visit.security == "plain" else ["--cacert", visit.authority, "--ssl-reqd"]
    return visit.run("curl", "-sS", "-m", PATIENCE, f"{scheme}://localhost:{visit.proxy.port}/{path}", "--ipv4", "-u",
                     f"{visit.user}:{visit.password}", *secure, *options)


def with_curl_imap(visit):
    file = visit.folder / visit.marker
    file.write_text(f"Subject: {visit.marker}\r\n\r\n{visit.marker}\r\n")
    curl(visit, "INBOX", "-T", file)
    file.unlink()
    visit.recognize(curl(visit, "INBOX;MAILINDEX=1"))
    found = re.search(r"SEARCH (\d+)", curl(visit, f"INBOX?SUBJECT%20{visit.marker}"))
    if not found:
        raise Lost(f"{visit.marker} is not in the mailbox it was put in")
    visit.find(curl(visit, f"INBOX;MAILINDEX={found[1]}"))
    visit.store.discard(visit.user, visit.marker)
    curl(visit, "INBOX", "-X", f"STORE {found[1]} +FLAGS.SILENT (\\Deleted)")
    curl(visit, "INBOX", "-X", "EXPUNGE")


def with_curl_pop3(visit):
    visit.store.deliver(visit.user, visit.marker, visit.marker)
    numbers = [line.split()[0] for line in curl(visit, "").splitlines() if line.strip()]
    visit.recognize(curl(visit, "1"))
    visit.find(curl(visit, numbers[-1]))
    visit.store.discard(visit.user, visit.marker)


def with_mbsync(visit):
    visit.store.deliver(visit.user, visit.marker, visit.marker)
    near = visit.folder / f"near-{visit.marker}"
    for name in ("cur", "new", "tmp"):
        (near / "inbox" / name).mkdir(parents=True)
    kind = {"plain": "None", "starttls": "STARTTLS", "tls": "IMAPS"}[visit.security]
    certificate = "" if visit.security == "plain" else f"CertificateFile {visit.authority}\n"
    (near / "rc").write_text(
        f"IMAPStore far\nHost localhost\nPort {visit.proxy.port}\nUser {visit.user}\nPass {visit.password}\n"
        f"SSLType {kind}\nAuthMechs LOGIN\n{certificate}\nMaildirStore near\nPath {near}/\nInbox {near}/inbox\n\n"
        "Channel both\nFar :far:\nNear :near:\nPatterns INBOX\nSync Pull\nSyncState *\n")
    visit.run("mbsync", "-c", near / "rc", "both")
    text = "\n".join(path.read_text() for path in (near / "inbox").glob("[cn]*/*"))
    visit.run("rm", "-rf", near)
    visit.recognize(text)
    visit.find(text)
    visit.store.discard(visit.user, visit.marker)


def script(visit):
    return f'require ["fileinto"];\r\n# {visit.marker} {visit.user}\r\nfileinto "{visit.marker}";\r\n'


def with_sievelib(visit):
    client = Sieve("localhost", visit.proxy.port)
    if not client.connect(visit.user, visit.password, starttls=visit.security == "starttls", authmech="PLAIN"):
        raise Lost(f"sievelib: {client.errmsg!r}")
    if not client.putscript(visit.marker, script(visit)):
        raise Lost(f"sievelib: {client.errmsg!r}")
    got = client.getscript(visit.marker) or ""
    visit.find(got)
    if got.split() != script(visit).split():
        raise Lost(f"the script has become {got!r}")
    if not client.deletescript(visit.marker):
        raise Lost(f"sievelib: {client.errmsg!r}")
    client.logout()


def with_sieve_connect(visit):
    file = visit.folder / f"{visit.marker}.sieve"
    file.write_text(script(visit))
    command = ["sieve-connect", "-s", "localhost", "--4", "-p", visit.proxy.port, "-u", visit.user, "--passwordfd", 0,
               "--tlscafile", visit.authority]
    for words in (["--localsieve", file, "--remotesieve", visit.marker, "--upload"], ["--list"],
                  ["--localsieve", file, "--remotesieve", visit.marker, "--download"],
                  ["--remotesieve", visit.marker, "--delete"]):
        said = visit.run(*command, *words, text=visit.password + "\n")
        if words == ["--list"]:
            visit.find(said)
    visit.find(file.read_text())
    file.unlink()


def with_openssl(visit):
    """openssl s_client, by hand: a login at the fake store and words that it sends back."""
    protocol = visit.proxy.protocol
    starttls = ["-starttls", {"imap4": "imap", "pop3": "pop3", "managesieve": "sieve"}[protocol]]
    command = ["openssl", "s_client", "-quiet", "-crlf", "-verify_return_error", "-CAfile", str(visit.authority),
               "-connect", f"{HOST}:{visit.proxy.port}"] + (starttls if visit.security == "starttls" else [])
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               text=True)
    watch = threading.Timer(PATIENCE, process.kill)
    watch.start()

    def say(line, answer):
        process.stdin.write(line + "\n")
        process.stdin.flush()
        while heard := process.stdout.readline():
            if re.match(answer, heard):
                return heard
        raise Lost(f"s_client: no answer to {line.split()[0]}")

    try:
        if protocol == "imap4":
            say(f"a LOGIN {visit.user} {visit.password}", "a OK")
        elif protocol == "pop3":
            say(f"USER {visit.user}", r"\+OK")
            say(f"PASS {visit.password}", r"\+OK You")
        else:
            say(f'AUTHENTICATE "PLAIN" "{visit.plain}"', "OK")
        for number in range(5):
            heard = say(f"{visit.marker}-{number}", "echo ").split()
            if heard != ["echo", visit.user, f"{visit.marker}-{number}"]:
                raise Crossed(f"{visit.user} sent {visit.marker}-{number} and got {heard}")
    finally:
        watch.cancel()
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


# Who speaks what: with the real stores, and with the fake one.
REAL = {
    "imap4": [with_imaplib, with_curl_imap, with_mbsync], "pop3": [with_poplib, with_curl_pop3],
    "managesieve": [with_sievelib, with_sieve_connect],
}
FAKE = {"imap4": [with_openssl], "pop3": [with_openssl], "managesieve": [with_openssl]}
