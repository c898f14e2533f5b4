"""Our load generator and our store that does nothing (tools/*.c), as the measurements use them."""

import json
import os
import pathlib
import subprocess
import time

from programs import HOST, Failed, Program, free_port, run

SOURCES = pathlib.Path(__file__).resolve().parent / "tools"
USERS = 100_000


def build(folder):
    """Makes the programs."""
    run(["make", "-C", str(SOURCES), f"OUT={folder}"])


class Store(Program):
    """A store that listens. At its end, what it has seen is in `seen`."""

    def __init__(self, tools, protocol, folder, greeting=None, processors=None):
        self.port, self.seen = free_port(), {}
        command = [str(tools / "store"), "--protocol", protocol, "--port", str(self.port)]
        if greeting:
            command += ["--greeting", greeting]
        super().__init__(f"store-{protocol}", command, folder, processors=processors)

    def end(self):
        super().end()
        last = self.said().strip().rpartition("\n")[2]
        self.seen = json.loads(last) if last.startswith("{") else {}


class Load:
    """One run of the load generator. `with` ends it by number if it is still there."""

    def __init__(self, tools, protocol, port, mode, sessions, at_once=64, tls=False, extra=(), processors=None):
        command = [
            str(tools / "load"), "--protocol", protocol, "--port", str(port), "--address", HOST, "--mode", mode,
            "--sessions", str(sessions), "--at-once", str(at_once), "--users", str(USERS)]
        command += (["--tls"] if tls else []) + list(extra)
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True, preexec_fn=(lambda: os.sched_setaffinity(0, processors)) if processors else None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def wait_for(self, word):
        """Until it prints READY or DONE; the number behind it."""
        line = self.process.stdout.readline()
        if not line.startswith(word):
            raise Failed(f"load: {line}{self.process.stderr.read()}")
        return int(line.split()[1])

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def result(self):
        """Its sums, with the first reasons of failed sessions under "reasons"."""
        output, errors = self.process.communicate()
        last = output.strip().rpartition("\n")[2]
        if self.process.returncode not in (0, 1) or not last.startswith("{"):
            raise Failed(f"load: {output}{errors}")
        return json.loads(last) | {"reasons": errors.strip()}


def settle():
    """The last sessions of a run are over for the client a moment before they are for the proxy."""
    time.sleep(0.15)
