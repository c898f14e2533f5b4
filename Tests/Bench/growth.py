"""Whether a login costs the same however many sessions are open, and a session the same memory."""

import contextlib
import statistics
import time

import machine
import report
import work
from proxies import ALL, Front
from tools import Load, settle


def climb(place, front, levels, count, trouble):
    """One proxy, from the first level to the last: {level: (µs a login, KiB a session)}."""
    found = {}
    with contextlib.ExitStack() as stack:
        proxy = stack.enter_context(ALL["ours"].start(place, front))
        proxy.wait_for(proxy.port)
        work.logins(place, proxy, front, 200, 64, trouble)
        settle()
        empty, open_now, holders = proxy.private_bytes(), 0, []
        for level in levels:
            holder = stack.enter_context(
                Load(place.tools, front.protocol, proxy.port, "idle", level - open_now, 64, front.tls))
            holder.wait_for("READY")
            holders.append(holder)
            open_now = level
            time.sleep(0.5)
            memory = (proxy.private_bytes() - empty) / 1024 / level
            found[level] = work.logins(place, proxy, front, count, 64, trouble)["cpu"], memory
            print(f"    {level:5} idle: {found[level][0]:8.1f} µs a login, {memory:6.2f} KiB a session", flush=True)
        for holder in holders:
            holder.go_on()
            trouble.note("ours", "staying", holder.result())
    return found


def run(place, rounds, quick):
    levels = [1, 100, 300] if quick else [1, 1000, 3000, 9000]
    trouble, parts = work.Trouble(), [f"{machine.sentence()}. Medians of {rounds} rounds."]
    for front in (Front("imap"), Front("imap", "ecdsa")):
        name = "TLS 1.3, ECDSA P-256" if front.tls else "plain"
        every = []
        for turn in range(rounds):
            print(f"  round {turn + 1} of {rounds}, {name}", flush=True)
            every.append(climb(place, front, levels, 300 if quick else 2000 if front.tls else 6000, trouble))
        cpu = {level: statistics.median(one[level][0] for one in every) for level in levels}
        memory = {level: statistics.median(one[level][1] for one in every) for level in levels}
        # One session's share of what the first sessions bring with them says nothing.
        parts.append(report.table(
            [f"idle sessions beside, {name}", "CPU per login (µs)", "to the first", "private memory per session (KiB)"],
            [[f"{level:,}", report.number(cpu[level]), f"{cpu[level] / cpu[levels[0]]:.2f}",
              report.number(memory[level]) if level > 1 else "–"] for level in levels]))
    return "\n\n".join(parts + trouble.told)
