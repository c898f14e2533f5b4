"""What stands behind the proxies: Dovecots, a fake store, and the databases that say who is where."""
import os
import pathlib
import poplib
import pwd
import resource
import socket
import subprocess
import sys
import time

HOST = "127.0.0.1"
TOP = pathlib.Path(__file__).resolve().parents[2]
PROTOCOLS = ("imap4", "pop3", "managesieve")

DOVECOT = """
protocols = imap pop3 sieve
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
ssl = yes
ssl_cert = <{identity}/chain
ssl_key = <{identity}/key
disable_plaintext_auth = no
auth_failure_delay = 0
mail_max_userip_connections = 0
default_internal_user = {internal}
default_internal_group = {group}
default_login_user = {login}
mail_location = maildir:~/Maildir
mailbox_list_index = no
first_valid_uid = {uid}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {folder}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/home/%u
}}
plugin {{
  sieve = file:~/sieve;active=~/.dovecot.sieve
}}
service imap {{
  service_count = 0
}}
service pop3 {{
  service_count = 0
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
"""
LOGIN = """
service {name}-login {{
  chroot =
  service_count = 0
  inet_listener {listener} {{
    port = {port}
  }}
  {off}
}}
"""


class Failed(Exception):
    """The run cannot go on."""


def free_port():
    """Outside the range from which the system takes ports by itself: a server that is down keeps its own."""
    while True:
        port = 20000 + int.from_bytes(os.urandom(2), "big") % 12000
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


def run(*command, text=None):
    """Runs a program to its end; what it printed."""
    done = subprocess.run([str(word) for word in command], input=text, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=600)
    if done.returncode:
        raise Failed(f"{command[0]} {command[1:3]}: exit status {done.returncode}: {done.stdout[-2000:]}")
    return done.stdout


def few_descriptors():
    """Older programs close or count each one that they could have."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 4096))


class Program:
    """One that runs until `end`; in our process group, so that who stops that stops all."""

    def __init__(self, name, command, log, plain=True, **keywords):
        self.name = name
        with open(log, "ab") as output:
            self.process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                preexec_fn=few_descriptors if plain else None, **keywords)

    def wait_for(self, port):
        for _ in range(1200):
            if self.process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex((HOST, port)) == 0:
                    return
            time.sleep(0.05)
        raise Failed(f"{self.name} does not listen on port {port}")

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def make_identity(folder):
    """An authority, and a certificate of it for this machine."""
    folder.mkdir()
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
           "9"]
    run(*new, "-subj", "/CN=Soak Authority", "-keyout", folder / "ca.key", "-out", folder / "ca")
    run(*new, "-subj", "/CN=localhost", "-CA", folder / "ca", "-CAkey", folder / "ca.key", "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:false", "-keyout",
        folder / "key", "-out", folder / "certificate")
    (folder / "chain").write_text((folder / "certificate").read_text() + (folder / "ca").read_text())
    return folder


class Dovecot:
    """A real store. The welcome message of each user names the user and the store."""

    def __init__(self, folder, label, users, identity):
        self.folder, self.label, self.users = folder, label, users
        self.ports = {protocol: free_port() for protocol in PROTOCOLS}
        root = os.getuid() == 0
        me = pwd.getpwuid(os.getuid())
        self.owner = pwd.getpwnam("nobody") if root else me
        for user in users:
            for name in ("new", "cur", "tmp"):
                (folder / "home" / user / "Maildir" / name).mkdir(parents=True)
            self.deliver(user, "welcome", self.welcome(user), number=1)
        (folder / "users").write_text("".join(f"{user}:{password}\n" for user, password in users.items()))
        for path in [folder / "home", *(folder / "home").rglob("*")]:
            os.chown(path, self.owner.pw_uid, self.owner.pw_gid)
        logins = [("imap", "imap", "imap4", "inet_listener imaps {\n port = 0\n }"),
                  ("pop3", "pop3", "pop3", "inet_listener pop3s {\n port = 0\n }"),
                  ("managesieve", "sieve", "managesieve", "")]
        (folder / "conf").write_text(DOVECOT.format(
            folder=folder, identity=identity, uid=self.owner.pw_uid, gid=self.owner.pw_gid,
            internal="dovecot" if root else me.pw_name, group="dovecot" if root else "nogroup",
            login="dovenull" if root else me.pw_name) + "".join(
                LOGIN.format(name=name, listener=listener, port=self.ports[protocol], off=off)
                for name, listener, protocol, off in logins))
        self.program = Program(f"store {label}", ["/usr/sbin/dovecot", "-F", "-c", folder / "conf"], folder / "out")
        for port in self.ports.values():
            self.program.wait_for(port)
        for user, password in users.items():
            # The welcome has its number before another message comes.
            mailbox = poplib.POP3(HOST, self.ports["pop3"], timeout=120)
            mailbox.user(user)
            mailbox.pass_(password)
            mailbox.quit()

    def welcome(self, user):
        return f"I am {user} of store {self.label}"

    def deliver(self, user, marker, text, number=None):
        """Puts a message into a mailbox, as a mail server would."""
        mail = self.folder / "home" / user / "Maildir"
        name = f"{number or time.time_ns() // 1000}.{marker}"
        (mail / "tmp" / name).write_text(f"Subject: {marker}\n\n{text}\n")
        os.chown(mail / "tmp" / name, self.owner.pw_uid, self.owner.pw_gid)
        os.rename(mail / "tmp" / name, mail / "new" / name)

    def discard(self, user, marker):
        """Takes it out again."""
        for path in (self.folder / "home" / user / "Maildir").glob(f"*/*.{marker}*"):
            path.unlink(missing_ok=True)


class FakeStore:
    """The echo of fake_store.py."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, TOP / "Tests/Soak/fake_store.py"], stdout=subprocess.PIPE, text=True)
        self.ports = dict(zip(PROTOCOLS, map(int, self.process.stdout.readline().split())))

    def end(self):
        self.process.terminate()
        self.process.wait()


class FileMap:
    """A popmap in a file. It is away while the file is."""

    def __init__(self, library, folder, bin):
        self.library, self.maker = library, bin / f"make{library}"
        self.option = folder / f"popmap.{library}.db"

    def fill(self, entries):
        """Makes it anew; it may be in use."""
        run(self.maker, self.option, text="".join(f"{user}:{HOST}:{port}\n" for user, port in entries.items()))
        self.option.chmod(0o644)

    def stop(self):
        self.option.rename(f"{self.option}.away")

    def start(self):
        self.option.with_name(self.option.name + ".away").rename(self.option)

    def end(self):
        pass


class SQLMap:
    """A table in a MariaDB or a PostgreSQL of its own."""

    def __init__(self, library, setup, folder):
        self.library, self.folder = library, folder / library
        self.script = TOP / "Tests/MapTests" / setup / "setup"
        self.option = run(self.script, "start", self.folder, "--rows", 10, "--with", os.getpid()).strip()

    def fill(self, entries):
        """In one transaction, so that nobody is missing in between."""
        rows = ", ".join(f"('{user}', '{HOST}', '{port}')" for user, port in entries.items())
        use = "USE dbPerdition;" if self.library == "mysql" else ""
        run(self.script, "sql", self.folder,
            text=f"{use} BEGIN; DELETE FROM tblPerdition; INSERT INTO tblPerdition VALUES {rows}; COMMIT;")

    def stop(self):
        run(self.script, "stop", self.folder)

    def start(self):
        run(self.script, "start", self.folder)

    def end(self):
        run(self.script, "kill", self.folder)


class DirectoryMap:
    """A slapd of its own; its entries stay as they were at the start."""
    library = "ldap"

    def __init__(self, folder, entries):
        self.folder, self.script = folder / "ldap", TOP / "Tests/MapTests/LDAP/setup"
        (folder / "ldif").write_text("".join(
            f"dn: uid={user},ou=mailbox,dc=nodomain\nobjectClass: perditionPopmap\nuid: {user}\nmailhost: {HOST}\n"
            f"port: {port}\n\n" for user, port in entries.items()))
        self.option = run(self.script, "prepare", self.folder, "--ldif", folder / "ldif", "--no-tls").strip()
        self.program = None
        self.start()

    def fill(self, entries):
        pass

    def stop(self):
        self.program.end()

    def start(self):
        self.program = Program("slapd", [self.script, "serve", self.folder], self.folder / "out",
                               env=dict(os.environ, SLAPD_LOG="0"))
        self.program.wait_for(int((self.folder / "port").read_text()))

    def end(self):
        self.program.end()
