"""Presses Tab in a real shell on a terminal, and prints what became of the line.

Usage: completions.py SHELL SHARE COMMAND TYPED; SHELL is the path of bash, zsh or fish, SHARE is the installed share folder, COMMAND a name to complete for.
TYPED has ^I where Tab is pressed. The command is replaced by one that prints its arguments, so that what is printed is what
it would have been given, one argument a line.
"""
import os
import pty
import re
import select
import shutil
import signal
import sys
import tempfile
import time

shell, share, command, typed = sys.argv[1:]
folder = tempfile.mkdtemp()
os.mkdir(f"{folder}/bin")
with open(f"{folder}/bin/{command}", "w") as program:
    program.write('#!/bin/sh\nfor word; do echo "<<$word>>"; done\necho "<<""end>>"\n')
os.chmod(f"{folder}/bin/{command}", 0o755)
for name in ("plain.conf", "pleasant.conf"):
    open(f"{folder}/{name}", "w").close()

environment = dict(
    os.environ, HOME=folder, PATH=f"{folder}/bin:/usr/bin:/bin", TERM="dumb", XDG_DATA_HOME=f"{folder}/.local",
    XDG_CONFIG_HOME=f"{folder}/.config", XDG_DATA_DIRS=f"{share}:/usr/share", LC_ALL="C.UTF-8", PS1="ready> ",
    BASH_SILENCE_DEPRECATION_WARNING="1")
start = {
    "bash": [shell, "--norc", "--noprofile", "-i"],
    "zsh": [shell, "-f", "-i"],
    "fish": [shell, "--private"],
}[os.path.basename(shell)]
first = {
    "bash": "PS1='ready> '; . /usr/share/bash-completion/bash_completion",
    "zsh": f"fpath=({share}/zsh/site-functions {share}/zsh/vendor-completions $fpath); "
           "autoload -U compinit; compinit -u -D; PS1='ready> '",
    "fish": "function fish_prompt; echo -n 'ready> '; end; function fish_greeting; end",
}[os.path.basename(shell)]

pid, terminal = pty.fork()
if pid == 0:
    os.chdir(folder)
    os.execvpe(start[0], start, environment)
shown = b""


def read(until=None, silence=1.0, limit=30.0):
    """Reads until `until` has been shown, or for as long as something comes."""
    global shown
    begin, deadline = len(shown), time.monotonic() + limit
    while time.monotonic() < deadline:
        if until and until in shown[begin:]:
            return
        if not select.select([terminal], [], [], 0.2 if until else silence)[0]:
            if until:
                continue
            return
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            return
        shown += piece


try:
    read(silence=1.5)
    os.write(terminal, first.encode() + b"\n")
    read(silence=2.5)
    for piece in re.split(r"(\^I)", f"{command} {typed}"):
        os.write(terminal, b"\t" if piece == "^I" else piece.encode())
        read(silence=1.5 if piece == "^I" else 0.3)
    os.write(terminal, b"\n")
    read(until=b"<<end>>")
finally:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    shutil.rmtree(folder, ignore_errors=True)
words = re.findall(rb"<<([^<>]*)>>", shown)
if not words or words[-1] != b"end":
    sys.exit(f"completions.py: {shell} did not run the command; it showed:\n{shown.decode(errors='replace')}")
print("\n".join(word.decode() for word in words[:-1]))
