"""Our load generator and store against another pair, in front of and behind the same proxy, in turn. Both run within
seconds of each other and change places each round; the ratio is the median of the rounds' ratios, so that what else
the machine does touches both alike. For the same reason the runs are short, and three for each round asked for.

DIR has a Makefile that builds `mailload` and `mailsink` into $(OUT). Half the users of the popmap are at our store and
half at the other: each generator asks for its own. What must agree is what the proxy uses, and what it can relay.
"""

import contextlib
import json
import statistics
import subprocess
import time

import report
import work
from programs import HOST, Program, free_port, run as run_command
from proxies import ALL, Front
from tools import USERS, settle


ROWS = {"login": "CPU per login (µs)", "latency": "latency alone, median (ms)", "megabyte": "CPU per MB relayed (µs)",
        "rate": "relayed (MB/s)", "memory": "memory per idle session (KiB)"}
FRONTS = [Front("imap"), Front("pop3"), Front("imap", "ecdsa"), Front("imap", "rsa")]
LOGINS_ONLY = [Front("pop3"), Front("imap", "rsa")]


class Others:
    """One run of their generator, with the numbers that work.py gives for ours."""

    def __init__(self, folder, trouble):
        self.folder, self.trouble = folder, trouble

    def command(self, proxy, front, mode, sessions, at_once, extra=()):
        return [str(self.folder / "mailload"), "--host", HOST, "--port", str(proxy.port), "--protocol", front.protocol,
                "--mode", mode, "--concurrency", str(at_once), "--sessions", str(sessions), "--tls",
                "implicit" if front.tls else "none", "--user-format", "other%d", "--users", str(USERS), *extra]

    @staticmethod
    def start(command):
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                start_new_session=True)

    def end(self, process):
        output, _ = process.communicate()
        result = json.loads(output.rpartition("RESULT ")[2])
        if result["failures"]:
            self.trouble.told.append(f"theirs: {result['failures']} failed: {result['first_failure']}")
        return result

    def logins(self, proxy, front, count, at_once):
        before = proxy.microseconds()
        result = self.end(self.start(self.command(proxy, front, "login", count, at_once)))
        settle()
        return {"cpu": (proxy.microseconds() - before) / max(1, result["ok"]), "p50": result["lat_p50_us"] / 1000}

    def bulk(self, proxy, front, fetches):
        process = self.start(self.command(proxy, front, "bulk", 8, 8, ["--fetches", str(fetches), "--gate"]))
        process.stdout.readline()
        settle()
        before = proxy.microseconds()
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        time.sleep(0.02)
        used = proxy.microseconds() - before
        process.stdin.write("\n")
        process.stdin.flush()
        result = self.end(process)
        return {"cpu": used / (result["body_bytes"] / 1e6), "rate": result["mb_per_s"]}

    def memory(self, proxy, front, sessions):
        few, holders = sessions // 10, []
        for count in (few, sessions - few):
            before = proxy.private_bytes()
            holders.append(self.start(self.command(proxy, front, "idle", count, 64)))
            holders[-1].stdout.readline()
            time.sleep(0.5)
        used = proxy.private_bytes() - before
        for holder in holders:
            holder.terminate()
            self.end(holder)
        return {"memory": used / 1024 / (sessions - few)}


def popmap(place, other_ports):
    """Our users and theirs in one file for each protocol."""
    for protocol, port in other_ports.items():
        file = place.folder / f"popmap.{protocol}.db"
        lines = "".join(f"user{n}:{HOST}:{place.stores[protocol].port}\nother{n}:{HOST}:{port}\n" for n in range(USERS))
        run_command([str(place.binaries / "makegdbm"), str(file)], input=lines)
        file.chmod(0o644)


def pairs(place, theirs, front, rounds, quick, trouble):
    """{row: [(ours, theirs)…]} of one front."""
    found = {}

    def note(measures, turn):
        """Each of the two once, the first of them first in every other round."""
        values = {}
        for side in ((0, 1), (1, 0))[turn % 2]:
            values[side] = measures[side]()
        for row in values[0]:
            found.setdefault(ROWS[row], []).append((values[0][row], values[1][row]))

    def alone(values):
        return {"latency": values["p50"]}

    def logins(values):
        return {"login": values["cpu"]}

    def bulk(values):
        return {"megabyte": values["cpu"], "rate": values["rate"]}

    def fresh(measure):
        with ALL["ours"].start(place, front) as proxy:
            proxy.wait_for(proxy.port)
            return measure(proxy)

    count, fetches, sessions = (300, 4, 1000) if quick else (800 if front.tls else 2000, 16, 4000)
    with ALL["ours"].start(place, front) as proxy:
        proxy.wait_for(proxy.port)
        work.logins(place, proxy, front, 200, 64, trouble)
        for turn in range(3 * rounds):
            note([lambda: logins(work.logins(place, proxy, front, count, 64, trouble)),
                  lambda: logins(theirs.logins(proxy, front, count, 64))], turn)
            if front in LOGINS_ONLY:
                continue
            note([lambda: alone(work.logins(place, proxy, front, 200, 1, trouble)),
                  lambda: alone(theirs.logins(proxy, front, 200, 1))], turn)
            note([lambda: bulk(work.bulk(place, proxy, front, fetches, trouble)),
                  lambda: bulk(theirs.bulk(proxy, front, fetches))], turn)
    for turn in range(0 if front in LOGINS_ONLY else rounds):
        note([lambda: fresh(lambda proxy: work.memory(place, proxy, front, sessions, trouble)),
              lambda: fresh(lambda proxy: theirs.memory(proxy, front, sessions))], turn)
    return found


def run(place, folder, rounds, quick):
    made, trouble, lines, far = place.sub("others"), work.Trouble(), [], 0
    run_command(["make", "-C", str(folder), f"OUT={made}"])
    ports = {"imap": free_port(), "pop3": free_port()}
    with contextlib.ExitStack() as stack:
        for protocol, port in ports.items():
            sink = stack.enter_context(Program(f"sink-{protocol}", [
                str(made / "mailsink"), "--port", str(port), "--protocol", protocol], made))
            sink.wait_for_text("SINK-READY")
        popmap(place, ports)
        theirs = Others(made, trouble)
        for front in FRONTS:
            print(f"  {front.protocol} {front.key or 'plain'}", flush=True)
            for row, values in pairs(place, theirs, front, rounds, quick, trouble).items():
                ours, others = (statistics.median(one[side] for one in values) for side in (0, 1))
                ratio = statistics.median(one / other for one, other in values)
                far += not 0.9 <= ratio <= 1.1
                lines.append([f"{front.protocol}, {front.key or 'plain'}: {row}", report.number(ours),
                              report.number(others), f"{ratio:.2f}"])
    print(f"\nMedians of {3 * rounds}, of {rounds} for memory.\n\n" + report.table(["through the same proxy", "our tools", "theirs", "ratio"], lines))
    print("\n".join(trouble.told))
    print(f"{far} of {len(lines)} rows differ by more than 10 %")
    return 1 if far or trouble.told else 0
