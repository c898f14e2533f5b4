"""A perdition in the foreground, its processes, and what they hold."""
import collections
import math
import os
import pathlib
import re
import signal
import time

from stores import HOST, Failed, Program, free_port

PROC = pathlib.Path("/proc")
# Seconds; so long that nothing runs out where the whole run is stopped for a minute (SIGSTOP to its process group).
PATIENCE = 180


class Proxy:
    def __init__(self, folder, bin, name, protocol, mode, database, identity):
        self.name, self.protocol, self.database = name, protocol, database
        # How clients may come: in clear text and with STARTTLS, or over TLS from the first byte.
        self.securities = ["tls"] if mode.startswith("ssl_listen") else ["plain", "starttls"]
        self.port, self.reloads = free_port(), 0
        self.configuration, self.log = folder / f"{name}.conf", folder / f"{name}.log"
        # When its workers were killed.
        self.kills = []
        self.lines = [
            f"map_library {bin}/perdition-map-{database.library}", f'map_library_opt "{database.option}"',
            f"bind_address {HOST}", f"listen_port {self.port}", 'pid_file ""', "log_facility -", f"ssl_mode {mode}",
            f"ssl_cert_file {identity}/chain", f"ssl_key_file {identity}/key", f"ssl_ca_file {identity}/ca",
            f"connect_timeout {PATIENCE}", f"server_timeout {PATIENCE}",
        ]
        self.configure(0)
        self.place = 0
        self.program = Program(
            name, [bin / "perdition", "--protocol", protocol.upper() if protocol != "managesieve" else "managesieve",
                   "--no_daemon", "--config_file", self.configuration], self.log, plain=False)
        self.program.wait_for(self.port)

    @property
    def master(self):
        return self.program.process.pid

    def configure(self, variant):
        """Another variant asks for another provider."""
        self.configuration.write_text("\n".join(self.lines + [f"map_timeout {PATIENCE + variant}", ""]))
        self.configuration.chmod(0o600)

    def children(self, role):
        """The process ids of `worker`s or of `provider`s, the oldest first."""
        found = []
        for pid in family(self.master)[1:]:
            name, parent, started = stat(pid)
            if parent == self.master and (name == "perdition") == (role == "worker"):
                found.append((started, pid))
        return [pid for _, pid in sorted(found)]

    def reload(self, changed):
        """SIGHUP; returns when the new generation serves and the old one takes nobody any more."""
        self.reloads += 1
        self.configure(self.reloads if changed else self.reloads - 1)
        self.place = self.log.stat().st_size
        os.kill(self.master, signal.SIGHUP)
        line = self.await_line(r"\]: (Reload.*)")
        if not line.startswith("Reloaded"):
            raise Failed(f"{self.name}: {line}")

    def await_line(self, pattern):
        for _ in range(PATIENCE * 20):
            with open(self.log, "rb") as log:
                log.seek(self.place)
                if found := re.search(pattern, log.read().decode(errors="replace")):
                    return found[1]
            time.sleep(0.05)
        raise Failed(f"{self.name}: no line {pattern} in the log")

    def kill(self, role):
        """kill -9 to the youngest of a role; returns when it has gone."""
        pid = self.children(role)[-1]
        if role == "worker":
            # Until it has gone, nobody knows who is the last that it took.
            self.kills.append(math.inf)
        os.kill(pid, signal.SIGKILL)
        for _ in range(2000):
            if not (PROC / str(pid)).exists() or stat(pid)[0] is None:
                break
            time.sleep(0.005)
        if role == "worker":
            self.kills[-1] = time.monotonic()
        # The next provider or worker stands there before anybody kills one again.
        for _ in range(2000):
            if self.children(role) and self.children(role)[-1] != pid:
                return
            time.sleep(0.02)
        raise Failed(f"{self.name}: no {role} comes after one that was killed")

    def holds(self):
        """By role: how many processes, KiB of memory, and descriptors by kind.

        Connections to the provider come and go by need, and are not counted, nor is what providers have open.
        """
        local = {row.split()[6] for row in (PROC / "net/unix").read_text().splitlines()[1:]}
        roles = {"master": [self.master], "worker": self.children("worker"), "provider": self.children("provider")}
        result = {}
        for role, pids in roles.items():
            kinds = collections.Counter()
            for pid in pids if role != "provider" else ():
                for number in os.listdir(PROC / str(pid) / "fd"):
                    try:
                        kind = os.readlink(PROC / str(pid) / "fd" / number)
                    except OSError:
                        continue
                    if kind[8:-1] not in local:
                        kinds[re.sub(r":\[\d+\]", "", kind)] += 1
            result[role] = (len(pids), sum(map(resident, pids)), kinds)
        return result

    def totals(self):
        """Processes, KiB of memory, descriptors, of all that belongs to it."""
        pids, descriptors = family(self.master), 0
        for pid in pids:
            try:
                descriptors += len(os.listdir(PROC / str(pid) / "fd"))
            except OSError:
                continue
        return len(pids), sum(map(resident, pids)), descriptors


def stat(pid):
    """Name, parent and start of a process; three times None where it has ended."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None, None, None
    words = text.rpartition(")")[2].split()
    if words[0] == "Z":
        return None, None, None
    return text[text.index("(") + 1:text.rindex(")")], int(words[1]), int(words[19])


def family(pid):
    """The process and all that descend from it."""
    waiting, found = [pid], []
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        try:
            for task in os.listdir(PROC / str(pid) / "task"):
                waiting += map(int, (PROC / str(pid) / "task" / task / "children").read_text().split())
        except OSError:
            continue
    return found


def resident(pid):
    try:
        found = re.search(r"VmRSS:\s+(\d+)", (PROC / str(pid) / "status").read_text())
        return int(found[1]) if found else 0
    except OSError:
        return 0
