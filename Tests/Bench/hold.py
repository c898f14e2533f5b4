"""Many idle sessions for a while, with a steady rate of logins beside them."""

import time

import accounting
import machine
import report
import work
from proxies import ALL, Front
from tools import Load


def run(place, sessions, minutes, rate):
    front, trouble, lines = Front("imap"), work.Trouble(), []
    kernel_before = accounting.kernel_bytes()
    with ALL["ours"].start(place, front) as proxy:
        proxy.wait_for(proxy.port)
        work.logins(place, proxy, front, 200, 64, trouble)
        time.sleep(0.5)
        empty = proxy.private_bytes()
        with Load(place.tools, "imap", proxy.port, "idle", sessions, 64) as holder:
            held = holder.wait_for("READY")
            time.sleep(1)
            full, kernel = proxy.private_bytes(), accounting.kernel_bytes() - kernel_before
            print(f"  {held:,} idle sessions, {full / 1024:,.0f} KiB", flush=True)
            left = minutes * 60
            while left > 0:
                seconds, used = min(60, left), proxy.microseconds()
                with Load(place.tools, "imap", proxy.port, "login", max(1, int(rate * seconds)), 64,
                          extra=["--rate", str(rate)]) as load:
                    result = load.result()
                used = proxy.microseconds() - used
                trouble.note("ours", "logins beside", result)
                lines.append([
                    f"{len(lines) + 1}", f"{result['finished']:,}", result["failed"],
                    *(f"{result[key] / 1000:.2f}" for key in ("p50", "p95", "p99", "max")),
                    f"{used / seconds / 10_000:.1f} %", f"{proxy.private_bytes() / 1024:,.0f}"])
                print("    minute " + "  ".join(map(str, lines[-1])), flush=True)
                left -= seconds
            holder.go_on()
            over = holder.result()
            trouble.note("ours", "staying", over)
        time.sleep(0.5)
        after = proxy.private_bytes()
    each = (full - empty) / held
    text = [
        f"{machine.sentence()}. {held:,} idle sessions through one proxy, {rate} logins a second beside them;"
        f" {over['finished']:,} of the idle sessions answered when they logged out at the end.",
        report.table(["minute", "logins", "failed", "median (ms)", "p95", "p99", "longest", "CPU of one core",
                      "private memory (KiB)"], lines),
        f"Private memory: {empty / 1024:,.0f} KiB before, {full / 1024:,.0f} KiB with the sessions, "
        f"{after / 1024:,.0f} KiB after they had ended: {each / 1024:.2f} KiB a session. The kernel took "
        f"{kernel / held / 1024:.1f} KiB for each session's four ends of connections, of which two are the proxy's.",
        f"On paper, 100,000 sessions: {(empty + each * 100_000) / (1 << 20):,.0f} MiB of private memory, about "
        f"{kernel / held / 2 * 100_000 / (1 << 30):.1f} GiB of the kernel's, 200,000 descriptors (the system's limit for one "
        f"process has to be raised to that), and several addresses towards each real server, since one pair of "
        f"addresses and a port has at most 65,535 connections (28,232 with Linux's usual range of ports).",
    ]
    return "\n\n".join(text + trouble.told)
