#!/usr/bin/python3
"""Mixed mail programs against proxies whose workers, providers, databases and configurations come and go.

    soak.py [--minutes N] [--bin FOLDER] [--threads N] [--stays N] [--seed N] [--keep]

Five proxies, a map provider of another kind behind each: IMAP4 and POP3 in clear text, with STARTTLS and over TLS,
ManageSieve in clear text and with STARTTLS; behind them two Dovecots, in clear text or with STARTTLS, and a fake store.
Every session carries a marker that has to come back. In the end none has been lost and none has met another's; and
after a last reload the processes, descriptors and memory of the proxies are what they were at the beginning. A session
that was open when its worker was killed may break; it is counted apart.
"""
import argparse
import asyncio
import collections
import pathlib
import random
import shutil
import signal
import ssl
import sys
import tempfile
import threading
import time
import traceback

sys.dont_write_bytecode = True

from proxy import Proxy
from stays import Stay, plain
from stores import TOP, Dovecot, DirectoryMap, Failed, FakeStore, FileMap, SQLMap, make_identity
from verdict import Tally, judge
from visits import FAKE, REAL, Visit

# Users of each store. Who visits a real mailbox has it alone.
USERS = 12
# Processes, the workers' and the providers', of a proxy at rest.
ALONE = {"master": 1, "worker": 1, "provider": 1}


class Soak:
    def __init__(self, folder, options):
        self.folder, self.options, self.pick = folder, options, random.Random(options.seed)
        self.tally, self.events, self.samples = Tally(), collections.Counter(), []
        self.serial, self.present, self.is_over, self.is_resting = 0, 0, False, threading.Event()
        self.lock, self.things = threading.Lock(), []

    def raise_stage(self):
        bin = pathlib.Path(self.options.bin).resolve()
        identity = make_identity(self.folder / "identity")
        self.authority = identity / "ca"
        self.context = ssl.create_default_context(cafile=self.authority)
        names = {label: [f"{label.lower()}{number:02}" for number in range(USERS)] for label in "ABF"}
        self.passwords = {user: f"secret-of-{user}" for label in names.values() for user in label}
        self.stores = {}
        for label in "AB":
            (self.folder / label).mkdir()
            (self.folder / label).chmod(0o755)
            self.stores[label] = Dovecot(
                self.folder / label, label, {user: self.passwords[user] for user in names[label]}, identity)
            self.things.append(self.stores[label].program)
        self.stores["F"] = FakeStore()
        self.things.append(self.stores["F"])
        self.names, self.free = names, {(label, name): True for label in "AB" for name in names[label]}
        self.proxies = []
        for name, protocol, mode, make in (
            ("imap4", "imap4", "tls_listen", lambda entries: FileMap("gdbm", self.folder, bin)),
            ("imap4s", "imap4", "ssl_listen,tls_outgoing", lambda entries: SQLMap("postgres", "Postgres", self.folder)),
            ("pop3", "pop3", "tls_listen", lambda entries: SQLMap("mysql", "MySQL", self.folder)),
            ("pop3s", "pop3", "ssl_listen,tls_outgoing", lambda entries: DirectoryMap(self.folder, entries)),
            ("managesieve", "managesieve", "tls_listen", lambda entries: FileMap("bdb", self.folder, bin)),
        ):
            entries = {user: self.stores[label].ports[protocol] for label in names for user in names[label]}
            database = make(entries)
            self.things.append(database)
            database.fill(entries)
            proxy = Proxy(self.folder, bin, name, protocol, mode, database, identity)
            proxy.entries = entries
            self.things.append(proxy.program)
            self.proxies.append(proxy)

    def marker(self):
        with self.lock:
            self.serial += 1
            return f"marker-{self.serial}-{self.pick.randrange(1 << 32):08x}"

    def visit(self):
        """One session of a mail program."""
        with self.lock:
            proxy = self.pick.choice(self.proxies)
            security = self.pick.choice(proxy.securities)
            client = self.pick.choice(REAL[proxy.protocol] + FAKE[proxy.protocol])
            if client in FAKE[proxy.protocol]:
                security, label = security if security != "plain" else "starttls", "F"
                user = self.pick.choice(self.names[label])
            else:
                # sieve-connect takes STARTTLS where it is on offer, whatever one asks for.
                security = "starttls" if client.__name__ == "with_sieve_connect" else security
                label, user = self.pick.choice([who for who, is_free in self.free.items() if is_free])
                self.free[label, user] = False
        visit = Visit(proxy, security, user, self.passwords[user], self.stores[label], self.marker(), self.folder,
                      self.authority)
        visit.plain = plain(user, visit.password)
        began, error = time.monotonic(), None
        try:
            client(visit)
        except Exception as caught:
            error = caught
        self.tally.note(f"{client.__name__[5:].replace('_', '-')} {security}", proxy, began, error)
        with self.lock:
            if label != "F":
                self.free[label, user] = True

    def enter(self):
        """Whether a session may begin; who begins one says `leave` at its end."""
        with self.lock:
            if self.is_resting.is_set() or self.is_over:
                return False
            self.present += 1
            return True

    def leave(self):
        with self.lock:
            self.present -= 1

    def visitor(self):
        while not self.is_over:
            if not self.enter():
                time.sleep(0.05)
                continue
            try:
                self.visit()
            finally:
                self.leave()
            time.sleep(self.pick.random() * self.options.pause)

    async def stay(self, seconds):
        """Sessions that stay, one after the other, each for up to `seconds`."""
        while not self.is_over:
            if not self.enter():
                await asyncio.sleep(0.05)
                continue
            proxy = self.pick.choice(self.proxies)
            security, user = self.pick.choice(proxy.securities), self.pick.choice(self.names["F"])
            began, error = time.monotonic(), None
            try:
                await self.keep(proxy, security, user, began + self.pick.random() * seconds)
            except Exception as caught:
                error = caught
            finally:
                self.leave()
            self.tally.note(f"stay-{proxy.protocol} {security}", proxy, began, error)

    async def keep(self, proxy, security, user, until):
        stay = await Stay.enter(proxy, security, user, self.passwords[user], self.context)
        try:
            while True:
                await stay.echo(self.marker())
                self.tally.words += 1
                if time.monotonic() > until or self.is_resting.is_set() or self.is_over:
                    return
                await asyncio.sleep(0.5 + self.pick.random())
        finally:
            stay.leave()

    async def warm(self, proxy):
        """Each user logs in once, so that the map's answers for all are known since the last reload."""
        async def enter(user):
            stay = await Stay.enter(proxy, proxy.securities[-1], user, self.passwords[user], self.context)
            stay.leave()

        users = list(self.passwords)
        for start in range(0, len(users), 6):
            await asyncio.gather(*map(enter, users[start:start + 6]))

    async def outage(self, proxy):
        await self.warm(proxy)
        await asyncio.to_thread(proxy.database.stop)
        try:
            await asyncio.sleep(self.options.outage)
        finally:
            await asyncio.to_thread(proxy.database.start)

    async def trouble(self, until):
        """One thing after the other happens to one proxy after the other."""
        kinds = ["reload", "provider kill", "database stop", "reload with another provider", "rebuild", "worker kill"]
        turn = 0
        while time.monotonic() < until:
            if self.watch.done():
                self.watch.result()
            proxy = self.proxies[turn % len(self.proxies)]
            # Their numbers have no common divisor, so each comes to each.
            kind = kinds[turn % len(kinds)]
            turn += 1
            if kind == "reload":
                await asyncio.to_thread(proxy.reload, False)
            elif kind == "reload with another provider":
                await asyncio.to_thread(proxy.reload, True)
            elif kind == "provider kill":
                await asyncio.to_thread(proxy.kill, "provider")
            elif kind == "worker kill":
                await asyncio.to_thread(proxy.kill, "worker")
            elif kind == "database stop":
                await self.outage(proxy)
            else:
                await asyncio.to_thread(proxy.database.fill, proxy.entries)
            self.events[kind] += 1
            await asyncio.sleep(self.options.every)

    async def rest(self, before=None):
        """Nobody is there; every proxy has just been reloaded and asked for each user. What it holds then."""
        self.is_resting.set()
        while self.present:
            await asyncio.sleep(0.1)
        for proxy in self.proxies:
            await asyncio.to_thread(proxy.reload, True)
            await self.warm(proxy)
        held = {}
        for proxy in self.proxies:
            # Until it is as before, or, the first time, as it was three seconds ago.
            last, still = None, 0
            for _ in range(300):
                shape = {role: hold[:1] + hold[2:] for role, hold in proxy.holds().items()}
                still = still + 1 if shape == last else 0
                last = shape
                is_alone = {role: shape[role][0] for role in ALONE} == ALONE
                if is_alone and (shape == before[proxy.name][0] if before else still >= 15):
                    break
                await asyncio.sleep(0.2)
            held[proxy.name] = last, {role: hold[1] for role, hold in proxy.holds().items()}
        self.is_resting.clear()
        return held

    async def sample(self):
        while not self.is_over:
            totals = [proxy.totals() for proxy in self.proxies]
            self.samples.append((time.monotonic(), *map(sum, zip(*totals))))
            for proxy in self.proxies:
                if proxy.program.process.poll() is not None:
                    raise Failed(f"{proxy.name} has ended: {proxy.program.process.returncode}")
            if len(self.tally.lost) > 200:
                raise Failed("nothing works any more: " + self.tally.lost[-1])
            await asyncio.sleep(2)

    async def run(self):
        seconds = self.options.minutes * 60
        threads = [threading.Thread(target=self.visitor, daemon=True) for _ in range(self.options.threads)]
        for thread in threads:
            thread.start()
        stays = [asyncio.create_task(self.stay(min(60, seconds / 5))) for _ in range(self.options.stays)]
        self.watch = asyncio.create_task(self.sample())
        start = time.monotonic()
        await self.trouble(start + seconds * 0.15)
        before = await self.rest()
        middle = time.monotonic()
        await self.trouble(start + seconds)
        last = time.monotonic()
        after = await self.rest(before)
        self.is_over = True
        await asyncio.gather(*stays, self.watch)
        for thread in threads:
            await asyncio.to_thread(thread.join)
        samples = [sample for sample in self.samples if middle < sample[0] < last]
        return judge(self.tally, self.events, before, after, samples)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--bin", default=TOP / ".build/release", help="where the programs are")
    parser.add_argument("--threads", type=int, default=6, help="mail programs at a time")
    parser.add_argument("--stays", type=int, default=40, help="sessions that stay at a time")
    parser.add_argument("--pause", type=float, default=0.4, help="seconds between two sessions, at most")
    parser.add_argument("--every", type=float, default=1, help="seconds between two troubles")
    parser.add_argument("--outage", type=float, default=2, help="seconds that a database is away")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", action="store_true", help="keep logs and mail, not only when something broke")
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="perdition-soak."))
    folder.chmod(0o755)
    soak, is_well = Soak(folder, options), False
    # A shell starts background jobs with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    print(f"soak: {options.minutes:g} minutes, seed {options.seed}, in {folder}", flush=True)
    try:
        soak.raise_stage()
        is_well = asyncio.run(soak.run())
    except KeyboardInterrupt:
        print("soak: interrupted")
    except Exception:
        traceback.print_exc()
    finally:
        soak.is_over = True
        for thing in reversed(soak.things):
            thing.end()
    if is_well and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"kept: {folder}")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
