"""What no proxy can go below that makes a login's system calls one by one: these and nothing else (tools/bare.c), beside
nginx and ours, with io_uring and without.

CPU time comes from rounds in turn, as in the comparison. Where it goes comes from samples with their stacks (perf), a run
for each: the shares by system call, of the time that was measured without perf. IMAP4 and POP3 each get a table.
"""

import collections
import re
import shutil
import signal
import statistics
import subprocess
import time

import machine
import report
import work
from programs import Program, free_port
from proxies import ALL, Front

FRONTS = {"IMAP": Front("imap"), "POP3": Front("pop3")}
AT_ONCE = 64
# Calls with less than this share of anybody's time are summed up.
LEAST = 0.015


class Bare:
    name, title = "bare", "the bare system calls"

    def start(self, place, front):
        port = free_port()
        program = Program(self.name, [str(place.tools / "bare"), "--protocol", front.protocol, "--port", str(port),
                                      "--store", str(place.stores[front.protocol].port)], place.sub(self.name))
        program.port = port
        return program


class WithoutRing(type(ALL["ours"])):
    name, title = "epoll", "ours, --no_io_uring"

    def start(self, place, front):
        return super().start(place, front, extra=["--no_io_uring"])


KINDS = [ALL["nginx"], Bare(), WithoutRing(), ALL["ours"]]

# What an operation of io_uring stands for, by the kernel's function for it. Polls and files end in calls of their own.
OPERATIONS = {"io_send": "sendto", "io_connect": "connect", "io_close": "close", "__fput": "close",
              "io_poll_add": "epoll_ctl", "io_async_cancel": "epoll_ctl"}


def place_of(frames):
    """The system call that a stack is in; else whether it is the program's own, or the scheduler's at the end of one."""
    for frame in frames:
        if frame in OPERATIONS:
            return f"`{OPERATIONS[frame]}`"
        if found := re.match(r"__(?:x64|se|do)_sys_(\w+)", frame):
            return f"`{found[1]}`"
    if any(frame.startswith(("schedule", "__schedule", "finish_task_switch")) for frame in frames):
        return "another program's turn"
    if any(frame.startswith(("entry_SYSCALL", "do_syscall", "asm_")) for frame in frames):
        return "ways into the kernel and back"
    return "the program itself"


def shares(place, proxy, front, count, trouble):
    """Where the time of the logins goes: {place: share}. Nothing where perf cannot tell."""
    data = place.sub("perf") / "data"
    perf = subprocess.Popen(
        ["perf", "record", "-q", "-g", "-F", "4999", "-e", "cpu-clock", "-o", str(data), "-p",
         ",".join(map(str, proxy.processes()))],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        time.sleep(0.5)
        work.logins(place, proxy, front, count, AT_ONCE, trouble)
    finally:
        perf.send_signal(signal.SIGINT)
        perf.wait()
    text = subprocess.run(["perf", "script", "-F", "comm,ip,sym", "-i", str(data)], capture_output=True, text=True).stdout
    found = collections.Counter()
    for block in text.split("\n\n"):
        name, *frames = block.strip("\n").split("\n")
        frames = [frame.strip().partition(" ")[2] for frame in frames]
        if frames:
            # The provider's threads, which nobody else has.
            found["the map provider" if name.strip().startswith("lookup") else place_of(frames)] += 1
    whole = sum(found.values())
    return {where: count / whole for where, count in found.items()}


def compare(place, protocol, front, rounds, count, trouble):
    """The table of one protocol."""
    costs, parts, running = collections.defaultdict(list), {}, {}
    try:
        for kind in KINDS:
            running[kind.name] = proxy = kind.start(place, front)
            proxy.wait_for(proxy.port)
            work.logins(place, proxy, front, count // 10, 16, trouble)
        for turn in range(rounds):
            for name, proxy in running.items():
                costs[name].append(work.logins(place, proxy, front, count, AT_ONCE, trouble)["cpu"])
            print(f"  {protocol}, round {turn + 1} of {rounds}: " +
                  "  ".join(f"{name} {values[-1]:.1f}" for name, values in costs.items()), flush=True)
        if shutil.which("perf"):
            parts = {name: shares(place, proxy, front, count, trouble) for name, proxy in running.items()}
    finally:
        for proxy in running.values():
            proxy.end()
    middle = {name: statistics.median(values) for name, values in costs.items()}
    titles = [kind.title for kind in KINDS]
    lines = [["all", *(f"{middle[kind.name]:.1f}" for kind in KINDS)],
             ["÷ nginx", *(f"{middle[kind.name] / middle['nginx']:.2f}" for kind in KINDS)]]
    wheres = sorted({where for one in parts.values() for where in one},
                    key=lambda where: -max(one.get(where, 0) for one in parts.values()))
    shown = [where for where in wheres if max(one.get(where, 0) for one in parts.values()) >= LEAST]
    for where in shown:
        lines.append([where, *(f"{parts[kind.name].get(where, 0) * middle[kind.name]:.1f}" for kind in KINDS)])
    if shown:
        lines.append(["everything else", *(
            f"{(1 - sum(parts[kind.name].get(where, 0) for where in shown)) * middle[kind.name]:.1f}" for kind in KINDS)])
    return report.table([f"CPU per {protocol} login, plain (µs)", *titles], lines)


def run(place, rounds, quick):
    count, trouble = 600 if quick else 12000, work.Trouble()
    tables = [compare(place, protocol, front, rounds, count, trouble) for protocol, front in FRONTS.items()]
    return "\n\n".join([
        f"{machine.sentence()}. Medians of {rounds} rounds in turn, {AT_ONCE} logins at once; the parts are shares of "
        "samples of one run each, io_uring's operations with the system calls that they stand for.", *tables] + trouble.told)
