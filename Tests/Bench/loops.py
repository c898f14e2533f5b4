"""Whether two loops do twice the work of one.

The clients and the store run on the same machine. With cores enough, the proxy gets two of its own and everything else
runs on the others. With two cores in all, the work must be such that the proxy does nearly all of it: TLS handshakes
with an RSA key, where the server signs and the client only verifies; the longer the key, the more of a session is the
proxy's. 7,680 bits are no advice for anybody: they make the client's part small enough not to be the limit. What the
clients and the store used is shown beside, and with it what could be had at most: while both cores are busy, sessions
a second cannot be more than two seconds of CPU over what a session costs everybody. That the client is not the limit
shows twice: no client process comes near a whole core, and one does as many sessions as two. That the loops are not in
each other's way shows in what a session costs the proxy, which is the same with one as with two.
"""

import os
import statistics
import time

import accounting
import machine
import report
import work
from proxies import ALL, Front
from tools import Load


def measure(place, front, threads, clients, count, cores, trouble):
    """Sessions a second, and cores that the proxy, the clients and the store kept busy."""
    ours, others = cores
    with ALL["ours"].start(place, front, ours, ["--threads", str(threads)]) as proxy:
        proxy.wait_for(proxy.port)
        work.logins(place, proxy, front, 64, 32, trouble, others)
        store = place.stores[front.protocol].process.pid
        before, store_before, begin = proxy.microseconds(), accounting.own_microseconds(store), time.monotonic()
        loads = [Load(place.tools, front.protocol, proxy.port, "login", count // clients, 64 // clients, front.tls,
                      processors=others) for _ in range(clients)]
        try:
            results = [load.result() for load in loads]
        finally:
            for load in loads:
                load.__exit__()
        seconds = time.monotonic() - begin
        time.sleep(0.1)
        used, store_used = proxy.microseconds() - before, accounting.own_microseconds(store) - store_before
    for result in results:
        trouble.note("ours", "logins", result)
    done = sum(result["finished"] for result in results)
    client_used = [result["cpu_us"] for result in results]
    return {"rate": done / seconds, "proxy": used / seconds / 1e6, "clients": sum(client_used) / seconds / 1e6,
            "client": max(client_used) / seconds / 1e6, "store": store_used / seconds / 1e6,
            "own": used / done, "cost": (used + sum(client_used) + store_used) / done}


def run(place, rounds, quick):
    everything = sorted(os.sched_getaffinity(0))
    cores = (set(everything[:2]), set(everything[2:])) if len(everything) >= 6 else (None, None)
    if cores[1]:
        for store in place.stores.values():
            os.sched_setaffinity(store.process.pid, cores[1])
    trouble, lines, said = work.Trouble(), [], []
    kinds = {None: 600 if quick else 10000, "rsa": 200 if quick else 3000, "rsa7680": 40 if quick else 300}
    for key, count in kinds.items():
        front, name = Front("imap", key), {None: "plain", "rsa": "TLS, RSA 2048", "rsa7680": "TLS, RSA 7680"}[key]
        every = {(threads, clients): [] for threads in (1, 2) for clients in (1, 2)}
        for turn in range(rounds):
            print(f"  round {turn + 1} of {rounds}, {name}", flush=True)
            for (threads, clients), values in every.items():
                values.append(measure(place, front, threads, clients, count, cores, trouble))
                print(f"    {threads} loops, {clients} clients: " +
                      "  ".join(f"{what} {value:,.2f}" for what, value in values[-1].items()), flush=True)
        middle = {case: {what: statistics.median(one[what] for one in values) for what in values[0]}
                  for case, values in every.items()}
        for (threads, clients), one in middle.items():
            lines.append([name, threads, clients, report.number(one["rate"]),
                          *(f"{one[what]:.2f}" for what in ("proxy", "clients", "client", "store")),
                          report.number(one["own"])])
        one, two = middle[1, 2], middle[2, 2]
        said.append(f"{name}: two loops do {two['rate'] / one['rate']:.2f} times the sessions of one" + (
            "." if cores[1] else f"; with two cores for everything {2e6 / two['cost'] / one['rate']:.2f} would be the "
            f"most (a session costs all together {two['cost']:,.0f} µs of CPU)."))
    where = ("The proxy had two cores of its own." if cores[1] else "Proxy, clients and store shared the cores.")
    return "\n\n".join([
        f"{machine.sentence()}. Medians of {rounds} rounds. {where}",
        report.table(["login", "loops", "clients", "sessions/s", "cores busy: proxy", "all clients", "busiest client",
                      "store", "proxy's CPU per session (µs)"], lines),
        "\n".join(f"- {text}" for text in said)] + trouble.told)
