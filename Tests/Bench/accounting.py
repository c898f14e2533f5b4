"""What a program and everything it started has used: CPU time and private memory.

CPU time comes from a control group of its own where the system lets us make one (version 2, or cpuacct of version 1):
the kernel counts there in microseconds what every process of the tree took, also those that are long gone, which
matters where each session is a process. Elsewhere it is the sum of /proc/PID/stat over the living tree with what each
has reaped, in ticks of usually 10 ms; run long enough, and nothing with children that nobody waits for.
"""

import itertools
import os
import pathlib
import time

TICK = os.sysconf("SC_CLK_TCK")


def mounts():
    """(type, options, folder) of every mounted file system."""
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        _, folder, kind, options, *_ = line.split()
        yield kind, options.split(","), pathlib.Path(folder)


def group_parents():
    """Folders in which a control group that counts CPU time might be made, with the file that has the count."""
    own = {}
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            own[controller] = path.lstrip("/")
    for kind, options, folder in mounts():
        if kind == "cgroup2" and "" in own:
            yield folder / own[""], "cpu.stat"
        elif kind == "cgroup" and "cpuacct" in options and "cpuacct" in own:
            yield folder / own["cpuacct"], "cpuacct.usage"


class Group:
    """A control group, made for one program."""

    def __init__(self, folder, counter):
        self.folder, self.counter = folder, folder / counter
        folder.mkdir()
        if not self.counter.exists():
            folder.rmdir()
            raise OSError(f"no {self.counter}")

    def microseconds(self):
        text = self.counter.read_text()
        if text.startswith("usage_usec"):
            return int(text.split()[1])
        return int(text) / 1000

    def processes(self):
        return [int(pid) for pid in (self.folder / "cgroup.procs").read_text().split()]

    def enter(self):
        """Called by the process that is to be in it, and its children after it."""
        (self.folder / "cgroup.procs").write_text("0")

    def remove(self):
        """What has just ended may take a moment to leave."""
        for _ in range(100):
            try:
                self.folder.rmdir()
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.02)


def new_group(name, count=itertools.count()):
    """A control group, or None where none can be had."""
    own = f"perdition-bench-{os.getpid()}-{next(count)}-{name}"
    for parent, counter in group_parents():
        try:
            return Group(parent / own, counter)
        except OSError:
            continue
    return None


def how():
    """One sentence for the report."""
    group = new_group("probe")
    if group is None:
        return "CPU time from /proc, summed over the process tree"
    group.remove()
    return f"CPU time of the whole process tree from a control group ({group.counter.name})"


def stat(pid):
    """(parent, ticks used by the process and what it has reaped), or None if it is gone."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), sum(map(int, fields[11:15]))


def tree(root):
    """The process and its descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (found := stat(entry)):
            children.setdefault(found[0], []).append(int(entry))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, [])
    return found


def tree_microseconds(root):
    return sum(found[1] for pid in tree(root) if (found := stat(pid))) * 1_000_000 / TICK


def own_microseconds(pid):
    """What one process has used, precise where the kernel keeps scheduler statistics."""
    try:
        return sum(
            int(path.read_text().split()[0]) for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1000
    except (OSError, ValueError, IndexError):
        found = stat(pid)
        return found[1] * 1_000_000 / TICK if found else 0


def private_bytes(pids):
    """Memory that only these processes have: Private_Clean and Private_Dirty of smaps_rollup."""
    total = 0
    for pid in pids:
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1]) * 1024
    return total


def kernel_bytes():
    """Memory of the kernel that is neither cache nor free: where sockets are."""
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("SUnreclaim:"):
            return int(line.split()[1]) * 1024
    return 0
