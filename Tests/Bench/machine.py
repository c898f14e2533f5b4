"""What a report says of where it was measured."""

import datetime
import os
import pathlib
import re
import subprocess

from programs import run

TOP = pathlib.Path(__file__).resolve().parent.parent.parent


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return os.uname().machine


def system():
    for line in pathlib.Path("/etc/os-release").read_text().splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return "Linux"


def ours():
    """The commit, if this is a clone."""
    try:
        commit = run(["git", "-C", str(TOP), "rev-parse", "--short", "HEAD"]).strip()
        changed = subprocess.run(["git", "-C", str(TOP), "diff", "--quiet", "HEAD", "--", "Sources"]).returncode
    except Exception:  # A tarball has no commit, and need not have git.
        return "?"
    return commit + (" with changes" if changed else "")


def sentence():
    cores = len(os.sched_getaffinity(0))
    kernel = re.match(r"[\d.]+", os.uname().release)[0]
    day = datetime.date.today().isoformat()
    return f"{day}, {cores} × {processor()}, {system()}, Linux {kernel}, ours at {ours()}"
