"""One case against one program, alone in namespaces of its own: own network, processes, mounts and host name.

As the first process of its namespace it takes everything it started along when it ends, however it ends. Addresses,
ports, files and names are therefore the same for every program and every run, and need no rewriting.
"""

import ctypes
import fcntl
import json
import os
import pathlib
import re
import resource
import shlex
import signal
import socket
import struct
import subprocess
import threading
import time
import traceback

from client import Client
from realserver import RealServer
from syslog import Syslog
from text import decode, shown

LIBC = ctypes.CDLL(None, use_errno=True)
BIND, RECURSIVE, PRIVATE = 4096, 1 << 14, 1 << 18
NAMESPACES = 0x20000 | 0x40000000 | 0x20000000 | 0x04000000 | 0x08000000  # mounts, network, processes, names, IPC
HOSTS = """127.0.0.1 mail.example.net mail localhost
127.0.0.2 one.example.net one
127.0.0.3 two.example.net two
127.0.0.4 three.example.net
::1 mail6.example.net
"""
ACCOUNTS = {
    "/etc/passwd": "joe:x:5001:5001::/:/bin/sh\njim:x:5002:5002::/:/bin/sh\n",
    # Both have the password "secret".
    "/etc/shadow": "".join(
        f"{name}:$6$compare$ytc8qJwvRygQGXp2hPso0Az43QAEYo.ZASbLdW8XceiejmY0lZ2X.R92w102ER1e8B8vqoxROSRirAxQX1VWa/:19000:0:99999:7:::\n"
        for name in ("joe", "jim")),
}
PORT = 2000
USAGE = re.compile(r"^(perdition version|Usage:|USAGE:|See '.* --help')")


def mount(source, target, kind=None, flags=0, data=None):
    def encoded(text):
        return None if text is None else os.fsencode(text)

    if LIBC.mount(encoded(source), encoded(target), encoded(kind), flags, encoded(data)) != 0:
        raise OSError(ctypes.get_errno(), f"mount {target}: {os.strerror(ctypes.get_errno())}")


def bind_text(target, text):
    path = pathlib.Path("/srv/etc") / pathlib.Path(target).name
    path.write_text(text)
    if os.path.exists(target):
        mount(str(path), target, flags=BIND)


class Stage:
    def __init__(self, task):
        self.case, self.side = task["case"], task["side"]
        self.logs, self.record, self.inetd_exits = None, [], []
        self.reals, self.daemon, self.reaped = [], None, {}
        self.temporary = task["temporary"]

    # The world around the program.

    def enter(self):
        # First of all, so that no mount of ours is seen outside.
        mount("none", "/", flags=RECURSIVE | PRIVATE)
        mount("proc", "/proc", "proc")
        socket.sethostname("mail.example.net")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            request = struct.pack("16sH14x", b"lo", 0x41)  # IFF_UP | IFF_RUNNING
            fcntl.ioctl(probe, 0x8914, request)  # SIOCSIFFLAGS
        # Ports the kernel picks stay clear of those of the clients, which a log line is known by.
        pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("30000 49999")
        mount("srv", "/srv", "tmpfs", data="mode=755")
        for name in ("etc", "tls", "dev", "perdition", "pam.d", "out", "open"):
            os.mkdir(f"/srv/{name}")
        os.chmod("/srv/open", 0o1777)
        mount(f"{self.temporary}/tls", "/srv/tls", flags=BIND)
        self.enter_devices()
        mount("run", "/run", "tmpfs", data="mode=755")
        bind_text("/etc/hosts", self.case.get("hosts", HOSTS))
        bind_text("/etc/resolv.conf", "")
        bind_text("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n")
        if self.case.get("pam"):
            pathlib.Path("/srv/pam.d/perdition").write_text(self.case["pam"])
            pathlib.Path("/srv/pam.d/other").write_text("auth required pam_deny.so\naccount required pam_deny.so\n")
            mount("/srv/pam.d", "/etc/pam.d", flags=BIND)
            for name, lines in ACCOUNTS.items():
                bind_text(name, pathlib.Path(name).read_text() + lines)
        for name, text in self.case.get("etc", {}).items():
            pathlib.Path(f"/srv/perdition/{name}").write_text(text)
        os.makedirs("/etc/perdition", exist_ok=True)
        mount("/srv/perdition", "/etc/perdition", flags=BIND)
        for name, text in self.case.get("files", {}).items():
            path, _, mode = name.partition(" ")
            pathlib.Path(path).write_bytes(decode(text))
            os.chmod(path, int(mode or "644", 8))
        os.environ.clear()
        os.environ.update(PATH="/usr/sbin:/usr/bin:/sbin:/bin", TZ="UTC", LC_ALL="C")

    def enter_devices(self):
        for name in ("null", "zero", "full", "random", "urandom", "tty"):
            if os.path.exists(f"/dev/{name}"):
                open(f"/srv/dev/{name}", "w").close()
                mount(f"/dev/{name}", f"/srv/dev/{name}", flags=BIND)
        os.mkdir("/srv/dev/shm")
        open("/srv/dev/console", "w").close()
        os.symlink("/proc/self/fd", "/srv/dev/fd")
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            os.symlink(f"/proc/self/fd/{number}", f"/srv/dev/{name}")
        self.logs = Syslog("/srv/dev/log")
        self.logs.start()
        mount("/srv/dev", "/dev", flags=BIND | RECURSIVE)

    def write_map(self, text, path="/srv/popmap.db"):
        new = path + ".new"
        subprocess.run([self.side["makegdbm"], new], input=text.encode(), check=True, stdout=subprocess.DEVNULL)
        os.chmod(new, 0o644)
        os.rename(new, path)

    # The program.

    def arguments(self):
        case = self.case
        line = [f"{self.side['directory']}/perdition{'.' + case['program'] if case['program'] else ''}"]
        if case.get("auto", True):
            if case.get("inetd"):
                line.append("--inetd_mode")
            else:
                line += ["-l", str(PORT), "--pid_file", ""]
                if not case.get("detach"):
                    line.append("--no_daemon")
            if "popmap" in case:
                line += ["-M", "/usr/lib/x86_64-linux-gnu/libperditiondb_gdbm.so.0", "-m", "/srv/popmap.db"]
            elif "map" in case:
                line += shlex.split(case["map"])
            else:
                line += ["-M", ""]
                if not any(option in ("-s", "--outgoing_server") for option in case["options"]):
                    line += ["-s", "127.0.0.2"]
            if "config" in case:
                line += ["-f", "/srv/perdition.conf"]
        return line + case["options"]

    def spawn(self, connection=None):
        def child():
            resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 4096))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.setgroups(self.case.get("groups", [0]))
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)

        files = []
        for number, text in self.case.get("fds", {}).items():
            reader, writer = os.pipe()
            os.write(writer, decode(text))
            os.close(writer)
            os.set_inheritable(reader, True)
            os.dup2(reader, int(number), inheritable=True)
            files.append(int(number))
        with open("/srv/out/stdout", "ab") as out, open("/srv/out/stderr", "ab") as err:
            return subprocess.Popen(
                self.arguments(), stdin=connection or subprocess.DEVNULL, stdout=connection or out, stderr=err,
                preexec_fn=child, pass_fds=files, cwd="/")

    def listening(self, port):
        wanted = f":{port:04X} "
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in open(table).readlines()[1:]:
                fields = line.split()
                if (fields[1] + " ").endswith(wanted) and fields[3] == "0A":
                    return True
        return False

    def start(self):
        self.daemon = self.spawn()
        port = self.case.get("ready", self.case.get("port", PORT))
        deadline = time.monotonic() + (15 if port else 7)
        while time.monotonic() < deadline:
            if port and self.listening(port):
                return
            if self.daemon.poll() is not None and not (port and self.case.get("detach") and self.others()):
                time.sleep(0.05)
                if not (port and self.listening(port)):
                    return
            time.sleep(0.02)
        self.record.append("does not listen" if port else "does not end")

    def others(self):
        """Processes of this namespace that are not this one: number and name."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != os.getpid():
                try:
                    status = open(f"/proc/{entry}/status").read()
                except OSError:
                    continue
                if "State:\tZ" not in status:
                    found.append((int(entry), status.split("\n")[0].partition("\t")[2]))
        return found

    def inetd(self):
        listener = socket.create_server(("127.0.0.1", PORT))

        def accept():
            while True:
                connection, _ = listener.accept()
                process = self.spawn(connection)
                connection.close()
                self.inetd_exits.append(process)

        threading.Thread(target=accept, daemon=True).start()

    def main_process(self):
        """The daemon: the process that was started, or what it left behind when it detached."""
        if self.daemon.poll() is None:
            return self.daemon.pid
        mine = [pid for pid, _ in self.others() if parent_of(pid) == os.getpid()]
        return mine[0] if mine else None

    # The steps of a script that are not about its connection.

    def act(self, word, rest, record):
        if word == "signal":
            pid = self.main_process()
            if pid:
                os.kill(pid, getattr(signal, f"SIG{rest}"))
            time.sleep(0.5)
        elif word == "popmap":
            self.write_map(rest.replace("|", "\n") + "\n")
        elif word == "write":
            path, _, text = rest.partition(" ")
            pathlib.Path(path).write_bytes(decode(text))
        elif word == "remove":
            os.unlink(rest)
        elif word == "exit":
            deadline = time.monotonic() + float(rest or 5)
            while self.daemon.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            record.append("daemon " + ("runs" if self.daemon.poll() is None else outcome(self.daemon.returncode)))
        elif word == "file":
            record.append(self.describe(rest))
        elif word == "rights":
            record += self.rights()
        else:
            raise ValueError(f"unknown step {word}")

    def describe(self, path):
        try:
            status = os.stat(path)
            kind = "folder" if os.path.isdir(path) else "file"
            text = "" if kind == "folder" else " " + shown(open(path, "rb").read())
            text = re.sub(r"^ \d+$", " a number", text)
            return f"{kind} {path} {status.st_mode & 0o7777:o} {status.st_uid}:{status.st_gid}{text}"
        except OSError as error:
            return f"{path}: {error.strerror}"

    def rights(self):
        """Who runs what; the numbers of processes differ, so equal ones are told once."""
        told = set()
        for pid, name in self.others():
            status = open(f"/proc/{pid}/status").read()
            words = [" ".join(re.search(rf"^{key}:\t(.*)$", status, re.M)[1].split()) for key in ("Uid", "Gid", "Groups")]
            told.add(f"{name}: user {words[0]} group {words[1]} groups {words[2]}")
        return sorted(told)

    # From the first mount to the last line.

    def run(self):
        self.enter()
        if "popmap" in self.case:
            self.write_map(self.case["popmap"])
        if "config" in self.case:
            pathlib.Path("/srv/perdition.conf").write_bytes(decode_config(self.case["config"]))
        for description in self.case.get("real", [{}]):
            server = RealServer(description, self.case["protocol"])
            self.reals.append(server)
            server.start()
        if self.case.get("inetd"):
            self.inetd()
        else:
            self.start()
        clients = self.clients()
        self.settle()
        exits = self.stop()
        reals = [server.views(len(clients) == 1) for server in self.reals]
        return {
            "client": [line for client in clients for line in client.record],
            "real": [line for meaning, _ in reals for line in meaning],
            "wire": [line for _, letters in reals for line in letters] if self.case.get("wire") else [],
            "log": self.log_view(),
            "exit": self.record + exits + self.output(),
        }

    def clients(self):
        scripts = self.case.get("client", "")
        if "each" in self.case:
            scripts = [scripts.replace("{each}", each) for each in self.case["each"]]
        elif isinstance(scripts, str):
            scripts = [scripts]
        clients = [
            Client(
                f"{number + 1}" if len(scripts) > 1 else "", script, self.case.get("host", "127.0.0.1"),
                self.case.get("port", PORT), 50000 + 10 * number, self.case.get("wait", 10), self.act)
            for number, script in enumerate(scripts)
        ]
        errors = []

        def perform(client):
            try:
                client.run()
            except Exception:
                errors.append(traceback.format_exc())

        threads = [threading.Thread(target=perform, args=(client,), daemon=True) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise RuntimeError(errors[0])
        return clients

    def settle(self):
        """Sessions end, the real servers hear of it, the log falls silent."""
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline and any(not s.over for real in self.reals for s in real.sessions):
            time.sleep(0.02)
        time.sleep(self.case.get("linger", 0))
        self.logs.settle(0.15, 2)

    def stop(self):
        lines = []
        if self.case.get("inetd"):
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline and any(process.poll() is None for process in self.inetd_exits):
                time.sleep(0.02)
            lines += [f"inetd: {outcome(process.poll())}" for process in self.inetd_exits]
        elif self.case.get("detach"):
            lines.append(f"started: {outcome(self.daemon.poll())}")
            pid = self.main_process()
            if pid:
                os.kill(pid, signal.SIGTERM)
            lines.append(f"{'daemon ended by TERM' if pid else 'daemon ended by itself'}: {outcome(wait_for(pid or -1))}")
        else:
            early = self.daemon.poll() is not None
            if not early:
                self.daemon.terminate()
                try:
                    self.daemon.wait(8)
                except subprocess.TimeoutExpired:
                    pass
            lines.append(f"{'ended by itself' if early else 'ended by TERM'}: {outcome(self.daemon.poll())}")
        self.logs.settle(0.1, 1)
        deadline = time.monotonic() + 1
        while self.others() and time.monotonic() < deadline:
            time.sleep(0.02)
        # Those that have just ended had their last words.
        self.logs.settle(0.05, 1)
        lines += [f"left running: {name}" for _, name in self.others()]
        return lines

    def output(self):
        """What was printed, up to the usage text, which only people read."""
        lines = []
        for name in ("stdout", "stderr"):
            path = pathlib.Path(f"/srv/out/{name}")
            for line in path.read_text("utf-8", "backslashreplace").split("\n") if path.exists() else []:
                if USAGE.match(line):
                    lines.append(f"{name}: (usage text)")
                    break
                if line.strip():
                    lines.append(f"{name}: {line}")
        return lines

    def log_view(self):
        """Lines of one connection stay in order; connections go by their number, lines of none go first."""
        keep = re.compile(self.case.get("log", ""))
        groups = {}
        for line in self.logs.lines:
            if not keep.search(line):
                continue
            line = re.sub(r":[34]\d{4}->", ":PORT->", line)
            # Where ours names the client behind a reason, the original's line is one of no connection.
            connection = re.search(r"[\d.:a-f]+:(50\d\d\d)->", re.sub(r" \(client .*\)$", "", line))
            groups.setdefault(connection[1] if connection else "", []).append(line)
        lines = [line for key in sorted(groups) for line in groups[key]]
        if self.case.get("repeats"):
            # How often in so many seconds depends on the machine; that it repeats does not.
            lines = [f"{line} (again)" if line in lines[:number] else line for number, line in enumerate(lines)]
            lines = list(dict.fromkeys(lines))
        return lines


def decode_config(text):
    r"""Configuration text is literal but for `\xHH`, and `<no newline>` at the end keeps off the last line's end."""
    data = re.sub(rb"\\x([0-9a-fA-F]{2})", lambda match: bytes([int(match[1], 16)]), text.encode())
    data = re.sub(rb"\{(.)\*(\d+)\}", lambda match: match[1] * int(match[2]), data)
    return data.replace(b"<no newline>\n", b"")


def parent_of(pid):
    try:
        return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
    except OSError:
        return None


def outcome(code):
    if code is None:
        return "still running"
    return f"exit {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def wait_for(pid):
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline:
        try:
            done, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return None
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    return None


def steady(line):
    """Without what changes from run to run: dates, process numbers, the sum over all options in the greeting."""
    line = re.sub(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (\S+)\[\d+\]:", r"DATE \1:", line)
    line = re.sub(r"/tmp/perdition-compare-\w+", "FOLDER", line)
    line = re.sub(r"(inetd_pid=|process \[|daemon pid )\d+", r"\1N", line)
    # It depends on the number of processors.
    line = re.sub(r"(Open files: \d+, enough for )\d+", r"\1N", line)
    return re.sub(r"(ready on \S+) [0-9a-f]{8}\b", r"\1 SUM", line)


def views_of(task):
    try:
        return {view: [steady(line) for line in lines] for view, lines in Stage(task).run().items()}
    except BaseException:
        return {"error": traceback.format_exc()}


def die_with_parent():
    LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def start(task):
    """Starts one case: its process and where to read its views from, as JSON. Killing the process ends all of it."""
    reader, writer = os.pipe()
    outer = os.fork()
    if outer:
        os.close(writer)
        return outer, reader
    status = 1
    try:
        die_with_parent()
        os.close(reader)
        if LIBC.unshare(NAMESPACES) != 0:
            raise OSError(ctypes.get_errno(), "namespaces cannot be made here")
        inner = os.fork()
        if inner == 0:
            die_with_parent()
            writer = fcntl.fcntl(writer, fcntl.F_DUPFD, 100)
            for number in (7, 8, 9):  # For the case to use.
                os.dup2(os.open("/dev/null", os.O_RDWR), number)
            with open(writer, "w") as out:
                json.dump(views_of(task), out)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
    except OSError as error:
        os.write(writer, json.dumps({"error": str(error)}).encode())
    finally:
        os._exit(status)
