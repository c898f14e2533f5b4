"""Programs that run in the background, each with its account, and that are ended by number whatever happens."""

import os
import pathlib
import resource
import signal
import socket
import subprocess
import time

import accounting

HOST = "127.0.0.1"
INTERRUPTIONS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class Failed(Exception):
    """The measurement cannot go on; the text says why."""


def free_port(taken=set()):
    """A port nobody listens on and that was not given before. Below those that the system gives to clients."""
    for port in range(20000, 32000):
        if port in taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        taken.add(port)
        return port
    raise Failed("no port is free")


def descriptors(soft):
    """Sets the limit of descriptors; None for as many as the system lets us have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if soft is None else min(soft, hard), hard))


class Program:
    """A program and what it starts."""

    # Those that have not been ended, for whoever has the last word.
    running = []

    def __init__(self, name, command, folder, limit=None, processors=None, environment=None):
        self.name, self.log = name, folder / f"{name}.log"
        self.group, self.process = accounting.new_group(name), None
        self.running.append(self)

        def prepare():
            descriptors(limit)
            if self.group:
                self.group.enter()
            if processors:
                os.sched_setaffinity(0, processors)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTIONS)

        # No interruption between the start of a program and the moment we know its number.
        signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS)
        try:
            with open(self.log, "ab") as log:
                # A session of its own keeps a Ctrl-C for the script alone, which then ends things in order.
                self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                start_new_session=True, preexec_fn=prepare,
                                                env=os.environ | (environment or {}))
        except OSError as error:
            raise Failed(f"{command[0]}: {error}") from error
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTIONS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def processes(self):
        if self.group:
            return self.group.processes()
        return accounting.tree(self.process.pid) if self.process else []

    def microseconds(self):
        """CPU time of the whole tree since it was started."""
        return self.group.microseconds() if self.group else accounting.tree_microseconds(self.process.pid)

    def private_bytes(self):
        return accounting.private_bytes(self.processes())

    def said(self):
        return self.log.read_text(errors="replace")

    def check(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} has ended with status {self.process.returncode}:\n{self.said()[-2000:]}")

    def wait_for(self, port, seconds=30):
        """Until it listens."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.check()
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex((HOST, port)) == 0:
                    return
            time.sleep(0.05)
        raise Failed(f"{self.name} does not answer at port {port}:\n{self.said()[-2000:]}")

    def wait_for_text(self, text, seconds=30):
        deadline = time.monotonic() + seconds
        while text not in self.said():
            self.check()
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} did not say {text}:\n{self.said()[-2000:]}")
            time.sleep(0.01)

    def end(self):
        """Asks it to end, then makes it and whatever it left behind end."""
        known = self.processes()
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                pass
        for pid in self.group.processes() if self.group else known:
            try:
                # Without a group the numbers are from before and may be others' by now, but not in this session.
                if self.group or os.getsid(pid) == self.process.pid:
                    os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.process:
            self.process.wait()
        if self.group:
            self.group.remove()
        if self in self.running:
            self.running.remove(self)


def run(command, input=None):
    """What a command prints; an error with its text if it fails. Interrupted, it ends with what it started."""
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE if input else subprocess.DEVNULL, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    except OSError as error:
        raise Failed(f"{command[0]}: {error}") from error
    try:
        output, errors = process.communicate(input)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: {output}{errors}")
    return output


def write(folder, name, text):
    file = pathlib.Path(folder) / name
    file.write_text(text)
    return file
