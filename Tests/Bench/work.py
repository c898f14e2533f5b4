"""The pieces of work that are measured: logins, relaying, staying. Each gives plain numbers for one proxy, once."""

import time

from tools import Load, settle


class Trouble:
    """Failed sessions, told at the end: a fast refusal is not a fast login."""

    def __init__(self):
        self.told = []

    def note(self, name, doing, result):
        if result["failed"]:
            reason = result["reasons"].partition("\n")[0]
            self.told.append(f"{name}: {result['failed']} of {result['sessions']} sessions failed ({doing}): {reason}")


def logins(place, proxy, front, count, at_once, trouble, processors=None):
    """Sessions of login and logout. CPU in µs a session, latencies in ms, sessions a second."""
    before = proxy.microseconds()
    with Load(place.tools, front.protocol, proxy.port, "login", count, at_once, front.tls,
              processors=processors) as load:
        result = load.result()
    settle()
    used = proxy.microseconds() - before
    trouble.note(proxy.name, "logins", result)
    done = max(1, result["finished"])
    return {
        "cpu": used / done, "p50": result["p50"] / 1000, "p95": result["p95"] / 1000,
        "rate": result["finished"] / result["seconds"], "tls": result["tls"]}


def bulk(place, proxy, front, fetches, trouble, sessions=8):
    """Messages of 1 MiB by IMAP. CPU in µs a MB of 1,000,000 bytes, and MB a second."""
    with Load(place.tools, front.protocol, proxy.port, "bulk", sessions, sessions, front.tls,
              ["--fetches", str(fetches)]) as load:
        load.wait_for("READY")
        settle()
        before = proxy.microseconds()
        load.go_on()
        load.wait_for("DONE")
        time.sleep(0.02)
        used = proxy.microseconds() - before
        load.go_on()
        result = load.result()
    trouble.note(proxy.name, "relaying", result)
    megabytes = max(1, result["bytes"]) / 1_000_000
    return {"cpu": used / megabytes, "rate": megabytes / max(1e-6, result["transfer_seconds"])}


def memory(place, proxy, front, sessions, trouble):
    """Private memory in KiB for each session that stays, between a tenth of `sessions` and all of them, so that what the
    first ones bring with them does not count. For a proxy just started."""
    few = sessions // 10
    with Load(place.tools, front.protocol, proxy.port, "idle", few, 64, front.tls) as first:
        first.wait_for("READY")
        time.sleep(0.5)
        before = proxy.private_bytes()
        with Load(place.tools, front.protocol, proxy.port, "idle", sessions - few, 64, front.tls) as rest:
            held = rest.wait_for("READY")
            time.sleep(0.5)
            used = proxy.private_bytes() - before
            for load in (first, rest):
                load.go_on()
                trouble.note(proxy.name, "staying", load.result())
    return {"memory": used / 1024 / max(1, held)}
