"""The table of issue and page: four proxies, the same work, in turn, medians."""

import contextlib
import statistics
import sys
import typing

import proxies
import work
from proxies import Front


class Row(typing.NamedTuple):
    key: str
    work: str
    unit: str
    front: Front
    measure: str
    value: str
    # "nginx" times a number, "most" of a number, or "best" of all.
    target: tuple


IMAP, POP3 = Front("imap"), Front("pop3")
ECDSA, RSA = Front("imap", "ecdsa"), Front("imap", "rsa")

ROWS = [
    Row("imap-plain", "CPU per IMAP login, plain, 64 at once", "µs", IMAP, "logins", "cpu", ("nginx", 0.60)),
    Row("pop3-plain", "CPU per POP3 login, plain, 64 at once", "µs", POP3, "logins", "cpu", ("nginx", 0.60)),
    Row("imap-ecdsa", "CPU per IMAP login, TLS 1.3, ECDSA P-256", "µs", ECDSA, "logins", "cpu", ("nginx", 0.80)),
    Row("imap-rsa", "CPU per IMAP login, TLS 1.3, RSA 2048", "µs", RSA, "logins", "cpu", ("nginx", 0.80)),
    Row("mb-plain", "CPU per MB relayed, plain", "µs", IMAP, "bulk", "cpu", ("nginx", 0.45)),
    Row("mb-tls", "CPU per MB relayed, TLS to the client", "µs", ECDSA, "bulk", "cpu", ("nginx", 0.50)),
    Row("rate-plain", "relayed with 8 sessions, plain", "MB/s", IMAP, "bulk", "rate", ("best",)),
    Row("rate-tls", "relayed with 8 sessions, TLS to the client", "MB/s", ECDSA, "bulk", "rate", ("best",)),
    Row("memory-plain", "private memory per idle session, plain", "KiB", IMAP, "memory", "memory", ("most", 1.5)),
    Row("memory-tls", "private memory per idle session, TLS 1.3", "KiB", ECDSA, "memory", "memory", ("most", 15)),
    Row("latency-plain", "login latency alone, median, plain", "ms", IMAP, "alone", "p50", ("most", 0.40)),
    Row("latency-tls", "login latency alone, median, TLS 1.3, ECDSA", "ms", ECDSA, "alone", "p50", ("most", 1.7)),
]


class Sizes:
    """How much of each work one run does."""

    def __init__(self, quick, idle):
        self.quick, self.idle = quick, idle

    def logins(self, proxy, front):
        full = 6000 if not front.tls else 2000
        return int((300 if self.quick else full) * proxy.pace)

    def fetches(self):
        return 4 if self.quick else 32

    def alone(self, front):
        return 20 if self.quick else 50 if front.tls else 200

    def sessions(self, proxy):
        return proxy.idle // 4 if self.quick else min(self.idle or proxy.idle, proxy.idle)


class Comparison:
    def __init__(self, place, kinds, rows, rounds, sizes):
        self.place, self.kinds, self.rows, self.rounds, self.sizes = place, kinds, rows, rounds, sizes
        self.values = {row.key: {kind.name: [] for kind in kinds} for row in rows}
        self.latencies, self.agreed, self.trouble = {}, {}, work.Trouble()

    def measure_once(self, what, kind, proxy, front):
        sizes, place, trouble = self.sizes, self.place, self.trouble
        if what == "logins":
            return work.logins(place, proxy, front, sizes.logins(kind, front), 64, trouble)
        if what == "alone":
            return work.logins(place, proxy, front, sizes.alone(front), 1, trouble)
        if what == "bulk":
            return work.bulk(place, proxy, front, sizes.fetches(), trouble)
        # Memory once given to a program may stay with it, so each time it is another one.
        with kind.start(place, front) as fresh:
            fresh.wait_for(fresh.port)
            return work.memory(place, fresh, front, sizes.sessions(kind), trouble)

    def note(self, front, what, kind, numbers):
        for row in self.rows:
            if row.front == front and row.measure == what:
                self.values[row.key][kind.name].append(numbers[row.value])
                if what == "alone":
                    self.latencies.setdefault((row.key, kind.name), []).append(numbers["p95"])
        if numbers.get("tls"):
            self.agreed.setdefault(front.key, {})[kind.name] = numbers["tls"]
        shown = "  ".join(f"{name} {value:,.2f}" for name, value in numbers.items() if not isinstance(value, str))
        print(f"    {kind.title:10} {shown}", flush=True)

    def run_front(self, front):
        """Everything that is measured with one protocol and one kind of key."""
        wanted = list(dict.fromkeys(row.measure for row in self.rows if row.front == front))
        with contextlib.ExitStack() as stack:
            running = []
            for kind in self.kinds:
                proxy = stack.enter_context(kind.start(self.place, front))
                proxy.wait_for(proxy.port)
                work.logins(self.place, proxy, front, 64, 16, self.trouble)
                running.append((kind, proxy))
            for turn in range(self.rounds):
                for what in wanted:
                    name = front.protocol + (f", {front.key}" if front.key else "")
                    print(f"  round {turn + 1} of {self.rounds}, {name}, {what}", flush=True)
                    for kind, proxy in running:
                        self.note(front, what, kind, self.measure_once(what, kind, proxy, front))

    def run(self):
        for front in dict.fromkeys(row.front for row in self.rows):
            self.run_front(front)
        for text in self.trouble.told:
            print(f"bench: {text}", file=sys.stderr)

    def median(self, row, name):
        values = self.values[row.key].get(name)
        return statistics.median(values) if values else None

    def met(self, row):
        """(what the target is, whether it is met or None where that cannot be said)."""
        ours, nginx = self.median(row, "ours"), self.median(row, "nginx")
        others = [value for kind in self.kinds if kind.name != "ours" and (value := self.median(row, kind.name))]
        rule, *number = row.target
        if rule == "nginx":
            return f"≤ {number[0]:.2f} × nginx", None if None in (ours, nginx) else ours <= number[0] * nginx
        if rule == "most":
            return f"≤ {number[0]:g} {row.unit}", None if ours is None else ours <= number[0]
        everyone = len(others) == len(proxies.ALL) - 1
        return "above the best", ours > max(others) if ours is not None and everyone else None
