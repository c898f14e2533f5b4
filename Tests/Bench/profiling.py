"""Where the time of a login and of a relayed megabyte goes: instructions by callgrind, samples by perf, and system
calls by strace. Instructions and calls are counted for two amounts of work and the smaller taken from the larger, so
that starting and ending do not count; those of one run are much like those of the next, whatever else the machine does.

callgrind does not see the kernel, and does not read the debug information of today's compilers: it runs copies of the
programs without. It runs them as root, for its files. perf sees both sides, as shares of time only.
"""

import collections
import pathlib
import re
import shutil
import signal
import subprocess
import time

import accounting
import machine
import report
import work
from programs import Failed, Program, free_port, run as run_command
from proxies import ALL, Front, Place
from tools import Load

WORKS = {
    "an IMAP login, plain": (Front("imap"), "login", 50, 1050),
    "an IMAP login, TLS 1.3, ECDSA": (Front("imap", "ecdsa"), "login", 20, 120),
    "a MiB relayed, plain": (Front("imap"), "bulk", 4, 516),
    "a MiB relayed, TLS to the client": (Front("imap", "ecdsa"), "bulk", 4, 36),
}
SHOWN = 15


def do(place, proxy, front, mode, count, at_once=1):
    """`count` logins, or messages in one session."""
    extra = ["--run-on", "--fetches", str(count)] if mode == "bulk" else []
    with Load(place.tools, front.protocol, proxy.port, mode, 1 if mode == "bulk" else count, at_once, front.tls,
              extra) as load:
        result = load.result()
    if result["failed"]:
        raise Failed(f"{result['failed']} sessions failed: {result['reasons']}")


def warm(place, proxy, front):
    """Until a login succeeds and the worker has the popmap's table: under callgrind the provider takes seconds to start, and
    to make one."""
    done = False
    for _ in range(20):
        with Load(place.tools, front.protocol, proxy.port, "login", 1, 1, front.tls, ["--patience", "5"]) as load:
            done = load.result()["finished"] or done
        # Time instead of logins, which are counted: one has asked for it.
        for _ in range(100 if done else 5):
            if done and has_table(proxy):
                return
            time.sleep(0.1)
    raise Failed(f"no login under callgrind, or no table:\n{proxy.said()[-2000:]}")


def has_table(proxy):
    """Whether provider and worker share one."""
    def maps(pid):
        try:
            return pathlib.Path(f"/proc/{pid}/maps").read_text()
        except OSError:
            return ""

    return sum("popmap table" in maps(pid) for pid in accounting.tree(proxy.process.pid)) >= 2


def processes(proxy):
    """(worker, provider), by what they were started as."""
    worker = provider = None
    for pid in accounting.tree(proxy.process.pid):
        name = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0]
        if b"perdition-map" in name:
            provider = pid
        elif pid != proxy.process.pid:
            worker = pid
    if not worker or not provider:
        raise Failed("the worker or the provider is not there")
    return worker, provider


# --- Instructions ---

def read_callgrind(file):
    """(the command, {(object, function): instructions of its own})."""
    names, costs, command = {"ob": {}, "fn": {}}, collections.Counter(), ""
    here, skip = {"ob": "", "fn": ""}, False
    for line in file.read_text(errors="replace").splitlines():
        if found := re.match(r"c?(ob|fn)=\((\d+)\)(?: (.*))?$", line):
            kind, number, name = found.groups()
            if name is not None:
                names[kind][number] = name
            if not line.startswith("c"):
                here[kind] = names[kind].get(number, "?")
        elif line.startswith("calls="):
            # The next line is what the called function used.
            skip = True
        elif line[:1] in "0123456789+-*" and line:
            if not skip:
                costs[pathlib.Path(here["ob"]).name, here["fn"]] += int(line.split()[1])
            skip = False
        elif line.startswith("cmd:"):
            command = line[4:].strip()
    return command, costs


def count_instructions(place, front, mode, count):
    """Instructions of a whole life with so much work: {"worker" | "provider": {(object, function): …}}."""
    folder, port = place.sub("callgrind"), free_port()
    ours = ALL["ours"].command(place, front, port, ["--username", "root", "--group", "root", "--threads", "1"])
    command = [shutil.which("valgrind") or "valgrind", "--vgdb=no", "--tool=callgrind", "--trace-children=yes",
               f"--callgrind-out-file={folder}/out.%p", *ours]
    image = {"LD_PRELOAD": str(place.tools / "ownimage.so"), "OWN_IMAGE": str(place.binaries / "perdition")}
    with Program("callgrind", command, folder, environment=image) as proxy:
        proxy.port = port
        proxy.wait_for(port, 60)
        warm(place, proxy, front)
        do(place, proxy, front, mode, count)
        known = proxy.processes()
        proxy.process.terminate()
        for _ in range(200):
            if not any(accounting.stat(pid) for pid in known if pid != proxy.process.pid):
                break
            time.sleep(0.1)
    sums = {"worker": collections.Counter(), "provider": collections.Counter()}
    for file in folder.glob("out.*"):
        command, costs = read_callgrind(file)
        sums["provider" if "perdition-map-gdbm " in command.partition(" --")[0] + " " else "worker"].update(costs)
    return sums


def demangle(names):
    """Swift's names as people write them, where the toolchain is at hand."""
    if not shutil.which("swift"):
        return names
    done = subprocess.run(["swift", "demangle", "--simplified"], input="\n".join(names), capture_output=True, text=True)
    found = done.stdout.splitlines()
    return found if done.returncode == 0 and len(found) == len(names) else names


def short(name):
    name = re.sub(r"'\d+$", "", name).replace("|", "\\|")
    return name if len(name) <= 100 else name[:97] + "…"


def instructions(place, quick):
    plain = Place(place.folder, place.tools, place.sub("without-debug"), place.stores)
    plain.count = 1000
    for name in ("perdition", "perdition-map-gdbm", "makegdbm"):
        run_command(["objcopy", "--strip-debug", str(place.binaries / name), str(plain.binaries / name)])
    sums, tops = [], []
    for name, (front, mode, less, more) in WORKS.items():
        if quick and front.tls:
            continue
        print(f"  callgrind, {name}", flush=True)
        low, high = (count_instructions(plain, front, mode, count) for count in (less, more))
        each = {who: {key: (value - low[who][key]) / (more - less) for key, value in high[who].items()}
                for who in high}
        total = {who: sum(costs.values()) for who, costs in each.items()}
        sums.append([name, *(f"{max(0, total[who]):,.0f}" for who in ("worker", "provider"))])
        both = [(value, who, *key) for who, costs in each.items() for key, value in costs.items()]
        top = sorted(both, reverse=True)[:SHOWN]
        names = demangle([function for *_, function in top])
        everything = max(1, sum(total.values()))
        tops.append(f"Functions of {name}:\n\n" + report.table(
            ["function", "of", "in", "instructions", "share"],
            [[f"`{short(function)}`", who, thing, f"{value:,.0f}", f"{100 * value / everything:.1f} %"]
             for (value, who, thing, _), function in zip(top, names)]))
    return "\n\n".join([report.table(["instructions of user space for", "worker", "provider"], sums), *tops])


# --- System calls ---

def read_strace(file):
    calls = collections.Counter()
    for line in file.read_text().splitlines():
        fields = line.split()
        if len(fields) in (5, 6) and fields[0][0].isdigit() and fields[-1] != "total":
            calls[fields[-1]] += int(fields[3])
    return calls


def traced(pid):
    """Whether every thread of a process is traced."""
    return all("TracerPid:\t0\n" not in status.read_text()
               for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status"))


def count_calls(place, proxy, front, mode, count, at_once):
    """System calls while so much is done: {"worker" | "provider": {name: calls}}."""
    folder, tracers = place.sub("strace"), {}
    for who, pid in zip(("worker", "provider"), processes(proxy)):
        tracers[who] = subprocess.Popen(
            ["strace", "-f", "-c", "-o", str(folder / who), "-p", str(pid)], stderr=subprocess.DEVNULL,
            start_new_session=True)
    try:
        deadline = time.monotonic() + 10
        while not all(map(traced, processes(proxy))):
            if time.monotonic() > deadline:
                raise Failed("strace does not get hold of the processes")
            time.sleep(0.05)
        do(place, proxy, front, mode, count, at_once)
        time.sleep(0.2)
    finally:
        for tracer in tracers.values():
            tracer.send_signal(signal.SIGINT)
        for tracer in tracers.values():
            tracer.wait()
    return {who: read_strace(folder / who) for who in tracers}


def calls(place, quick):
    columns = [("login, alone", Front("imap"), "login", 100, 1), ("login, 64 at once", Front("imap"), "login", 2000, 64),
               ("TLS login, alone", Front("imap", "ecdsa"), "login", 100, 1),
               ("MiB, plain", Front("imap"), "bulk", 64, 1), ("MiB, TLS", Front("imap", "ecdsa"), "bulk", 64, 1)]
    found = {}
    for name, front, mode, count, at_once in columns:
        print(f"  strace, {name}", flush=True)
        count = max(10, count // 10) if quick else count
        with ALL["ours"].start(place, front) as proxy:
            proxy.wait_for(proxy.port)
            warm(place, proxy, front)
            do(place, proxy, front, "login", 64, 16)
            found[name] = {who: {call: number / count for call, number in numbers.items()}
                           for who, numbers in count_calls(place, proxy, front, mode, count, at_once).items()}
    parts = []
    for who in ("worker", "provider"):
        names = sorted({call for one in found.values() for call in one[who]},
                       key=lambda call: -max(one[who].get(call, 0) for one in found.values()))
        lines = [[f"`{call}`", *(f"{found[name][who].get(call, 0):.2f}" for name in found)] for call in names
                 if max(one[who].get(call, 0) for one in found.values()) >= 0.02]
        lines.append(["all", *(f"{sum(found[name][who].values()):.2f}" for name in found)])
        parts.append(report.table([f"system calls of the {who} per", *found], lines))
    return "\n\n".join(parts)


# --- Samples of time ---

def samples(place, quick):
    if not shutil.which("perf"):
        return "There is no perf(1) here."
    parts = []
    for name, front, mode, count in (("a login, plain, 64 at once", Front("imap"), "login", 8000),
                                     ("relaying, plain", Front("imap"), "bulk", 1500)):
        print(f"  perf, {name}", flush=True)
        with ALL["ours"].start(place, front) as proxy:
            proxy.wait_for(proxy.port)
            warm(place, proxy, front)
            data = place.sub("perf") / "data"
            watched = ",".join(map(str, processes(proxy)))
            perf = subprocess.Popen(
                ["perf", "record", "-q", "-F", "4000", "-e", "cpu-clock", "-o", str(data), "-p", watched],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
            try:
                time.sleep(0.5)
                do(place, proxy, front, mode, count // 10 if quick else count, 64)
            finally:
                perf.send_signal(signal.SIGINT)
                perf.wait()
            text = subprocess.run(["perf", "report", "-q", "--stdio", "--no-children", "--sort", "dso,symbol",
                                   "-i", str(data)], capture_output=True, text=True).stdout
        lines, kernel = [], 0.0
        for line in text.splitlines():
            if found := re.match(r"\s*([\d.]+)%\s+(\S+)\s+\[([.k])\]\s+(.*?)(?:\s{2,}.*)?$", line):
                share, thing, side, function = found.groups()
                kernel += float(share) if side == "k" else 0
                lines.append([function, "kernel" if side == "k" else thing, f"{share} %"])
        if not lines:
            return "perf(1) could not take samples on this machine."
        functions = demangle([line[0] for line in lines[:SHOWN]])
        for line, function in zip(lines, functions):
            line[0] = f"`{short(function)}`"
        parts.append(f"Time of {name}, {kernel:.0f} % of it in the kernel:\n\n" +
                     report.table(["function", "in", "share"], lines[:SHOWN]))
    return "\n\n".join(parts)


def run(place, quick):
    return "\n\n".join([f"{machine.sentence()}.", calls(place, quick), instructions(place, quick),
                        samples(place, quick)])
