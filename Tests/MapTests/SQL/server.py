"""A database server for a test: made in a directory of its own, reachable over a Unix socket, TCP and TLS.

A kind of server is a subclass; `main` is the whole of its `setup` script:

    setup start DIR [--rows N] [--with PID]   make it if need be, start it, print the option string of the provider
    setup stop DIR                            end it
    setup kill DIR                            end it as a power failure would
    setup pause DIR, setup resume DIR         SIGSTOP, SIGCONT for all of its processes
    setup sql DIR                             run the SQL on standard input as its administrator
    setup tally DIR                           how many sessions it has had since it was started

With `--with`, the server ends when that process does, so that a test that crashes leaves nothing behind.
"""

import argparse
import os
import pathlib
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

PASSWORD = "perdition"


class Server:
    user = ""

    def __init__(self, directory):
        self.directory = os.path.abspath(directory)
        self.data = self.path("data")

    def path(self, name):
        return os.path.join(self.directory, name)

    @property
    def port(self):
        with open(self.path("port")) as file:
            return int(file.read())

    def process(self):
        """The server's process, or None where it does not run."""
        try:
            with open(self.pid_file()) as file:
                pid = int(file.readline())
            # Another process may have its number by now.
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return pid if self.directory.encode() in file.read() and not ended(pid) else None
        except (OSError, ValueError):
            return None

    def family(self):
        """The server and what it forked."""
        first = self.process()
        if first is None:
            return []
        parents = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/stat") as file:
                    parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                pass
        return [first] + [pid for pid, parent in parents.items() if parent == first]

    def account(self):
        """Neither server runs as root; anybody else runs it as himself."""
        return pwd.getpwnam(self.user) if os.getuid() == 0 else pwd.getpwuid(os.getuid())

    def surroundings(self):
        """What a program is started with: the server's account, nothing of our environment."""
        path = "/usr/sbin:/usr/bin:/sbin:/bin"
        keywords = {"cwd": self.directory, "env": {"PATH": path, "HOME": self.directory, "LC_ALL": "C.UTF-8"}}
        if os.getuid() == 0:
            account = self.account()
            keywords.update(user=account.pw_uid, group=account.pw_gid, extra_groups=[])
        return keywords

    def run(self, *command, text=None):
        command = (shutil.which(command[0], path=self.surroundings()["env"]["PATH"]) or command[0],) + command[1:]
        result = subprocess.run(command, input=text, capture_output=True, text=True, **self.surroundings())
        if result.returncode != 0:
            sys.exit(f"{command[0]}: {result.stdout}{result.stderr}")
        return result.stdout

    def make(self, rows):
        os.makedirs(self.directory, exist_ok=True)
        account = self.account()
        os.chmod(self.directory, 0o755)
        os.chown(self.directory, account.pw_uid, account.pw_gid)
        # Free at the moment; the server binds it some seconds later, and keeps it for all its starts.
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            with open(self.path("port"), "w") as file:
                file.write(str(probe.getsockname()[1]))
        self.make_certificates()
        self.make_data()
        self.launch()
        self.fill(rows)

    def make_certificates(self):
        """An authority, a certificate of it for localhost and 127.0.0.1, and an authority that nobody asked."""
        def openssl(*arguments):
            self.run("openssl", *arguments)

        for name in ("ca", "otherca"):
            openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650",
                    "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
                "-keyout", "server.key", "-out", "server.csr")
        with open(self.path("server.ext"), "w") as file:
            file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "3650", "-extfile", "server.ext", "-out", "server.pem")
        os.chmod(self.path("server.key"), 0o600)

    def start(self, rows):
        if not os.path.exists(self.path("made")):
            self.make(rows)
            open(self.path("made"), "w").close()
        elif self.process() is None:
            # What a killed server left behind must not be taken for the new one's.
            for name in (self.pid_file(), self.path("socket"), self.path(f".s.PGSQL.{self.port}.lock")):
                if os.path.exists(name):
                    os.unlink(name)
            self.launch()

    def await_it(self, answers, child=None):
        for _ in range(1200):
            if answers():
                return
            if child is not None and child.poll() not in (None, 0):
                break
            time.sleep(0.05)
        with open(self.path("log")) as file:
            sys.exit(f"the server does not start: {file.read()[-2000:]}")

    def spawn(self, *command):
        """Starts what stays, in a session of its own."""
        command = (shutil.which(command[0], path=self.surroundings()["env"]["PATH"]) or command[0],) + command[1:]
        log = os.open(self.path("log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **self.surroundings())
        os.close(log)
        return child

    def signal(self, number):
        # First the one that forks, so that nobody is missed.
        for members in (slice(0, 1), slice(1, None)):
            send(self.family()[members], number)

    def await_standstill(self):
        """Each thread goes on until it hears of the signal."""
        def moving(pid):
            try:
                return [task for task in (pathlib.Path("/proc") / str(pid) / "task").iterdir()
                        if ") T " not in (task / "stat").read_text()]
            except OSError:
                return []
        end = time.monotonic() + 60
        while any(moving(pid) for pid in self.family()):
            if time.monotonic() > end:
                sys.exit("setup: the server does not stand still")
            time.sleep(0.01)

    def stop(self, number):
        family = self.family()
        if not family:
            return
        self.signal(signal.SIGCONT)
        send(family if number == signal.SIGKILL else family[:1], number)
        for attempt in range(1200):
            if all(ended(pid) for pid in family):
                return
            if attempt == 600:
                send(family, signal.SIGKILL)
            time.sleep(0.05)
        sys.exit("the server does not end")

    def guard(self, pid):
        """Leaves a process behind that stops the server when `pid` has ended."""
        if os.fork():
            return
        os.setsid()
        null = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        # Who started us may wait for the end of what we have inherited.
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        try:
            watched = os.pidfd_open(pid)
            while os.path.exists(self.path("made")):
                if select.select([watched], [], [], 1)[0]:
                    self.stop(signal.SIGKILL)
                    shutil.rmtree(self.directory, ignore_errors=True)
                    break
        finally:
            os._exit(0)


def example(name):
    """The SQL that administrators are told to begin with: the tests begin with it as well."""
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "..", "..", "..", "docs", "examples", name)) as file:
        return file.read()


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def ended(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def main(kind):
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=["start", "stop", "kill", "pause", "resume", "sql", "tally"])
    parser.add_argument("directory")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--with", dest="guarded", type=int)
    options = parser.parse_args()
    server = kind(options.directory)
    if options.action == "start":
        server.start(options.rows)
        if options.guarded:
            server.guard(options.guarded)
        print(server.option_string())
    elif options.action == "stop":
        server.stop(kind.stop_signal)
    elif options.action == "kill":
        server.stop(signal.SIGKILL)
    elif options.action == "pause":
        server.signal(signal.SIGSTOP)
        server.await_standstill()
    elif options.action == "resume":
        server.signal(signal.SIGCONT)
    elif options.action == "sql":
        sys.stdout.write(server.sql(sys.stdin.read()))
    else:
        print(server.tally())
