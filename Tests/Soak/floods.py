#!/usr/bin/python3
"""Thousands of connections that come to nothing, and honest clients that log in beside them.

    floods.py [--count N] [--logins N] [--bin FOLDER] [--kind KIND]...

For each kind, N connections (10,000; a fifth of it where each takes two descriptors of the proxy and megabytes of the
system) are made by a process of their own and held. Honest clients log in while they come, and while they are there.
All of these have to get in; in the middle not later than 100 ms, or five times what a login takes without a flood on a
machine where that is more, and of a hundred at most ten more than without it take longer than 100 ms. The memory of the
worker stays within a limit for each connection, which is the one of Tests/Integration/FloodTests.
"""
import argparse
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True

from proxy import family, resident, stat
from stores import HOST, TOP, Failed, FakeStore, Program, free_port, make_identity

# KiB of the worker for each connection, and how many of them are a flood of 10,000.
KINDS = {
    "silent": (10, 10_000), "slow": (10, 10_000), "endless-line": (20, 10_000), "endless-literal": (36, 10_000),
    "stalled-starttls": (76, 10_000), "stalled-handshake": (76, 10_000), "renegotiating": (76, 10_000),
    "deaf": (48, 10_000), "deaf-session": (160, 2_000),
}
# KiB of the system for each that does not read its answers, of both ends: it would be 3,000 of its own accord.
DEAF = 400
# Seconds for a login, at most; and what it should take.
PATIENCE, GOAL = 120, 0.1


class Honest:
    """Clients that log in one after the other, a few at a time, each from the first packet to the answer to LOGIN."""

    def __init__(self, port, at_once=4):
        self.port, self.times, self.faults, self.is_over = port, [], [], False
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(at_once)]
        for thread in self.threads:
            thread.start()

    def work(self):
        while not self.is_over:
            began = time.monotonic()
            try:
                with socket.create_connection((HOST, self.port), PATIENCE) as client:
                    stream = client.makefile("rwb")
                    greeting = stream.readline()
                    stream.write(b"a LOGIN honest secret\r\n")
                    stream.flush()
                    if not greeting.startswith(b"* OK") or not stream.readline().startswith(b"a OK"):
                        raise Failed(f"no login: {greeting!r}")
                    took = time.monotonic() - began
                    stream.write(b"word\r\n")
                    stream.flush()
                    if stream.readline() != b"echo honest word\r\n":
                        raise Failed("no echo")
                self.times.append((began, took))
            except (OSError, Failed) as error:
                self.faults.append(repr(error))
            time.sleep(0.01)

    def stop(self):
        self.is_over = True
        for thread in self.threads:
            thread.join()


class Speaker:
    """A real server that lets everybody in and then says as much as is taken."""

    def __init__(self):
        self.program = subprocess.Popen(
            [sys.executable, "-c", SPEAKER], stdout=subprocess.PIPE, text=True)
        self.port = int(self.program.stdout.readline())

    def end(self):
        self.program.kill()
        self.program.wait()


SPEAKER = """
import asyncio, resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
async def serve(reader, writer):
    try:
        writer.write(b"* OK [CAPABILITY IMAP4rev1] ready\\r\\n")
        tag = (await reader.readline()).split()[0]
        writer.write(tag + b" OK\\r\\n")
        for _ in range(1024):
            writer.write(b"x" * 65536)
            await writer.drain()
    except (OSError, IndexError):
        pass
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def summary(times):
    """Median, worst and how many took longer than the goal, in words."""
    took = sorted(took for _, took in times)
    late = sum(one > GOAL for one in took)
    median, worst = 1000 * statistics.median(took), 1000 * took[-1]
    return f"{len(took)}, median {median:.1f} ms, worst {worst:.0f} ms, {late} above 100 ms"


def buffers():
    """KiB that the system has in buffers of TCP, of everybody's, both ends of our connections among them."""
    return int(re.search(r"TCP:.* mem (\d+)", pathlib.Path("/proc/net/sockstat").read_text())[1]) * 4


def share_late(times):
    return sum(took > GOAL for _, took in times) / len(times)


def wait_for(logins, honest, since):
    """Until so many logins have begun since then; slow ones count as well."""
    end = time.monotonic() + 600
    while time.monotonic() < end:
        times = [one for one in honest.times if one[0] >= since]
        if len(times) >= logins or honest.faults:
            return times
        time.sleep(0.02)
    raise Failed(f"{len(times)} of {logins} logins in ten minutes")


def flood(kind, options, folder, identity, store):
    """One kind, against a proxy of its own. What was wrong."""
    limit, most = KINDS[kind]
    count = most * options.count // 10_000
    bin, port, speaker = pathlib.Path(options.bin).resolve(), free_port(), Speaker()
    # The list of capabilities is long for the deaf only: each command has an answer of 8 KB then.
    capability = "IMAP4rev1" + (" " + "X" * 8000 if kind == "deaf" else "")
    popmap = folder / "popmap.db"
    subprocess.run([bin / "makegdbm", popmap], check=True, text=True,
                   input=f"honest:{HOST}:{store.ports['imap4']}\njoe:{HOST}:{speaker.port}\n")
    popmap.chmod(0o644)
    (folder / "log").unlink(missing_ok=True)
    proxy = Program("perdition", [
        bin / "perdition", "--protocol", "IMAP4", "--no_daemon", "--config_file", "/dev/null", "--bind_address", HOST,
        "--listen_port", port, "--map_library", bin / "perdition-map-gdbm", "--map_library_opt", popmap, "--pid_file",
        "", "--log_facility", "-", "--ssl_mode", "tls_listen", "--ssl_cert_file", identity / "chain", "--ssl_key_file",
        identity / "key", "--imap_capability", capability], folder / "log", plain=False)
    client, honest, faults = None, None, []
    try:
        proxy.wait_for(port)
        honest = Honest(port)
        before = wait_for(options.logins, honest, time.monotonic())
        worker = next(pid for pid in family(proxy.process.pid)[1:] if stat(pid)[0] == "perdition")
        size, system = resident(worker), buffers()
        start = time.monotonic()
        client = subprocess.Popen(
            [sys.executable, TOP / "Tests/Soak/flood_client.py", kind, str(count), str(port)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)

        def ask(order):
            client.stdin.write(order + "\n")
            client.stdin.flush()
            return client.stdout.readline().strip()

        if client.stdout.readline() != "there\n":
            raise Failed("the flood does not come")
        there = time.monotonic()
        coming = wait_for(1, honest, start)
        if kind == "slow":
            for _ in range(3):
                ask("drip")
                time.sleep(1)
        standing = wait_for(options.logins, honest, there)
        left, taken, kept = int(ask("count")), resident(worker) - size, buffers() - system
        honest.stop()
        print(f"{kind}: {left} of {count} there, {taken / count:.1f} KiB each, {taken / 1024:.0f} MiB, "
              f"{kept / count:.0f} KiB each of the system's; came in {there - start:.1f} s")
        print(f"  logins before: {summary(before)}\n  as they come: {summary([it for it in coming if it[0] < there])}\n"
              f"  as they stay: {summary(standing)}", flush=True)
        faults += [f"a login: {fault}" for fault in honest.faults[:5]]
        # Where all places are taken the oldest that has not logged in makes room. Who asks for a renegotiation may go.
        places = int(re.search(r"enough for (\d+) sessions", (folder / "log").read_text())[1])
        if left < min(count, places - 10) and kind != "renegotiating":
            faults.append(f"{count - left} connections have gone, and there are places for {places}")
        if taken > limit * count:
            faults.append(f"{taken} KiB for {count} connections, and {limit} KiB each is the limit")
        if kind == "deaf" and kept > DEAF * count:
            faults.append(f"the system keeps {kept // count} KiB for each that does not read")
        usual = statistics.median(took for _, took in before)
        for times in (coming, standing):
            if statistics.median(took for _, took in times) > max(GOAL, 5 * usual):
                faults.append(f"honest logins take too long: {summary(times)}")
            if share_late(times) > share_late(before) + 0.1:
                faults.append(f"too many honest logins take too long: {summary(times)}; before: {summary(before)}")
        if worker not in family(proxy.process.pid):
            faults.append("the worker has ended")
    finally:
        if honest:
            honest.stop()
        if client:
            client.kill()
            client.wait()
        proxy.end()
        speaker.end()
    return [f"{kind}: {fault}" for fault in faults]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--logins", type=int, default=200, help="honest ones before, and as many beside the flood")
    parser.add_argument("--bin", default=TOP / ".build/release", help="where the programs are")
    parser.add_argument("--kind", choices=KINDS, action="append")
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="perdition-floods."))
    folder.chmod(0o755)
    store, faults = FakeStore(), []
    try:
        identity = make_identity(folder / "identity")
        for kind in options.kind or KINDS:
            faults += flood(kind, options, folder, identity, store)
    except Failed as error:
        faults.append(f"{error}; the log:\n" + (folder / "log").read_text()[-2000:])
    finally:
        store.end()
        shutil.rmtree(folder, ignore_errors=True)
    for fault in faults:
        print(f"BROKEN: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
