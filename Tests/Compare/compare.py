#!/usr/bin/env python3
"""Runs every case against Debian's perdition and against ours, and tells what differs.

    compare.py --ours FOLDER [--original /usr/sbin] [case…]    names may hold * and ?
    compare.py --self [case…]                                  the original against itself: nothing may differ

A difference must have its row in docs/COMPATIBILITY.md and be written down in differences.txt (--accept does it) or be
explained by a rule of differences.toml; one that is not fails, and so does a row that no longer shows. Needs root (namespaces, and a program that gives up root) and openssl(1).
"""

import argparse
import fnmatch
import json
import os
import pathlib
import select
import shutil
import signal
import sys
import tempfile
import time

import casefile
import differences
import stage
from certificates import Certificates

HERE = pathlib.Path(__file__).resolve().parent
TABLE = HERE.parent.parent / "docs" / "COMPATIBILITY.md"
NAMES = ("imap4", "imap4s", "imaps", "pop3", "pop3s", "managesieve")
LIMIT = 90


class Run:
    """One case on one side, under way."""

    def __init__(self, key, task):
        self.key, self.answer, self.deadline = key, b"", time.monotonic() + LIMIT
        self.pid, self.reader = stage.start(task)

    def read(self):
        """False when it is over."""
        data = os.read(self.reader, 1 << 16)
        self.answer += data
        return bool(data)

    def views(self):
        os.close(self.reader)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        try:
            return json.loads(self.answer)
        except json.JSONDecodeError:
            return {"error": f"not over within {LIMIT} s" if time.monotonic() > self.deadline else "died"}


def run_all(tasks, jobs):
    """The views for every key of `tasks`, `jobs` of them at a time."""
    waiting, running, found = list(tasks.items()), {}, {}
    while waiting or running:
        while waiting and len(running) < jobs:
            run = Run(*waiting.pop(0))
            running[run.reader] = run
        ready, _, _ = select.select(list(running), [], [], 1)
        for run in list(running.values()):
            if (run.reader in ready and not run.read()) or time.monotonic() > run.deadline:
                del running[run.reader]
                found[run.key] = run.views()
    return found


def install_ours(folder, temporary):
    """A folder that any user can read, with the program under each of its names and its companions beside it."""
    place = temporary / "ours"
    place.mkdir()
    for path in pathlib.Path(folder).iterdir():
        if path.is_file() and os.access(path, os.X_OK) and path.name.startswith(("perdition", "make")):
            shutil.copy(path, place / path.name)
            os.chmod(place / path.name, 0o755)
    if not (place / "perdition").exists():
        sys.exit(f"{folder}: no perdition there")
    for name in NAMES:
        (place / f"perdition.{name}").unlink(missing_ok=True)
        os.symlink("perdition", place / f"perdition.{name}")
    return {"directory": str(place), "makegdbm": str(place / "makegdbm")}


class Comparison:
    def __init__(self, arguments):
        self.arguments = arguments
        self.cases = casefile.load(HERE / "cases")
        self.order = {case["name"]: number for number, case in enumerate(self.cases)}
        self.written = differences.Written(HERE / "differences.txt")
        unknown = set(self.written.blocks) - set(self.order)
        if unknown:
            raise differences.Mistake(f"differences.txt: no case is called {', '.join(sorted(unknown))}")
        named = self.written.named() | {case["undefined"]["row"] for case in self.cases if "undefined" in case}
        if arguments.accept:
            named |= set(differences.table_rows(TABLE))
        self.rules = differences.Rules(HERE / "differences.toml", differences.table_rows(TABLE), named)
        if arguments.cases:
            self.cases = [
                case for case in self.cases
                if any(fnmatch.fnmatchcase(case["name"], each) or case["file"] == each for each in arguments.cases)]
            if not self.cases:
                sys.exit("no case of that name")

    def run(self, temporary):
        self.temporary = temporary
        Certificates(temporary / "tls").make()
        original = {"directory": self.arguments.original, "makegdbm": shutil.which("makegdbm") or "/usr/bin/makegdbm"}
        ours = original if self.arguments.self else install_ours(self.arguments.ours, temporary)
        self.sides = (original, ours)
        start = time.monotonic()
        found = self.run_all(self.cases, self.arguments.jobs)
        again = [case for case in self.cases if found[case["name"]]["open"]]
        unsteady = []
        if again and not self.arguments.self and not self.arguments.once:
            second = self.run_all(again, max(2, self.arguments.jobs // 4))
            for name, result in second.items():
                if not result["open"]:
                    unsteady.append(name)
                found[name] = result
        return self.report(found, unsteady, time.monotonic() - start)

    def run_all(self, cases, jobs):
        tasks = {}
        # The long ones first, so that the end is not a wait for one of them.
        for case in sorted(cases, key=lambda case: -case.get("wait", 10) - len(case.get("each", []))):
            for number, side in enumerate(self.sides):
                tasks[case["name"], number] = {"case": case, "side": side, "temporary": str(self.temporary)}
        views = run_all(tasks, jobs)
        return {case["name"]: self.judge(case, views[case["name"], 0], views[case["name"], 1]) for case in cases}

    def judge(self, case, original, ours):
        name, result = case["name"], {"open": {}, "rows": {}, "views": (original, ours)}
        for label, views in (("original", original), ("ours", ours)):
            if "error" in views:
                result["open"][f"{label} could not be run"] = views["error"].rstrip().split("\n")
        if result["open"]:
            return result
        if "undefined" in case:
            # The original does one thing or another here; ours is held to what the case says.
            if not self.arguments.self:
                original = {**ours, "client": case["undefined"]["client"].strip("\n").split("\n")}
                self.rules.show(case["undefined"]["row"])
                result["rows"]["client"] = [case["undefined"]["row"]]
            else:
                return result
        for view in differences.VIEWS:
            lines, rows = self.rules.explain(name, view, original[view], ours[view])
            if lines:
                result["open"][view] = lines
            if rows:
                result["rows"][view] = sorted(set(rows))
        rows = self.written.explains(name, result["open"])
        if rows:
            result["open"] = {}
            result["rows"]["as written"] = rows
            for row in rows:
                self.rules.show(row)
        return result

    def report(self, found, unsteady, seconds):
        failed = 0
        for case in self.cases:
            result = found[case["name"]]
            if self.arguments.show:
                self.show(case, result["views"])
            if result["open"] and self.arguments.accept:
                self.written.accept(case["name"], self.arguments.accept.split(","), result["open"])
            elif result["open"]:
                failed += 1
                print(f"DIFFERS  {case['name']}" + (f": {case['about']}" if "about" in case else ""))
                for view, lines in result["open"].items():
                    print(f"  {view}:")
                    for line in lines:
                        print(f"    {line}")
            elif case["name"] in self.written.blocks and "as written" not in result["rows"] and not self.arguments.self:
                failed += 1
                print(f"NO LONGER DIFFERS  {case['name']}, though differences.txt says so")
            elif result["rows"] and self.arguments.verbose:
                rows = "; ".join(f"{view}: {', '.join(rows)}" for view, rows in result["rows"].items())
                print(f"explained  {case['name']}: {rows}")
        if self.arguments.accept:
            self.written.save(self.order)
        for name in unsteady:
            print(f"UNSTEADY  {name}: differed once, and not again")
        stale = []
        if not self.arguments.self and not self.arguments.cases:
            rules = self.rules.all()
            used = {rule.row for rule in rules if rule.used} | self.rules.shown
            stale = sorted({rule.row for rule in rules} - used)
            for row in stale:
                print(f"NO LONGER SHOWS  {row}: its row or its rules are out of date")
            for rule in rules:
                if not rule.used and rule.row in used:
                    print(f"rule never used: {rule.row} for {', '.join(rule.cases)}")
        explained = sum(1 for result in found.values() if result["rows"] and not result["open"])
        print(
            f"{len(self.cases)} cases in {seconds:.0f} s: {len(self.cases) - failed - explained} alike, {explained} differ"
            f" as {TABLE.name} says, {failed} differ without a row, {len(stale)} rows no longer show")
        return 1 if failed or stale else 0

    def show(self, case, views):
        labels = ("original",) if self.arguments.self else ("original", "ours")
        for label, side in zip(labels, views):
            print(f"== {case['name']}, {label}")
            for view in differences.VIEWS:
                for line in side.get(view, []):
                    print(f"  {view:<6} | {line}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ours", help="folder of our perdition, its map providers and makegdbm")
    parser.add_argument("--original", default="/usr/sbin", help="folder of the original's programs")
    parser.add_argument("--self", action="store_true", help="the original against itself")
    parser.add_argument("--jobs", type=int, default=24, help="runs at the same time")
    parser.add_argument("--once", action="store_true", help="do not repeat cases that differ")
    parser.add_argument("--show", action="store_true", help="print every view in full")
    parser.add_argument(
        "--accept", metavar="ROW[,ROW…]", help="write what the named cases differ in down, for these rows of the table")
    parser.add_argument("--verbose", action="store_true", help="print explained differences too")
    parser.add_argument("cases", nargs="*", help="names of cases or of case files")
    arguments = parser.parse_args()
    if bool(arguments.ours) == arguments.self:
        parser.error("either --ours FOLDER or --self")
    if arguments.accept and not arguments.cases:
        parser.error("--accept needs the names of cases")
    if os.geteuid() != 0:
        sys.exit("needs root: the programs start as root, and each case has namespaces of its own")
    try:
        comparison = Comparison(arguments)
    except (casefile.Mistake, differences.Mistake) as mistake:
        sys.exit(str(mistake))
    with tempfile.TemporaryDirectory(prefix="perdition-compare-") as folder:
        os.chmod(folder, 0o755)
        sys.exit(comparison.run(pathlib.Path(folder)))


if __name__ == "__main__":
    main()
