"""Runs a program on a terminal of its own, types one line when it asks, and prints what the terminal showed.

Usage: terminal.py LINE NAME PROGRAM [ARGUMENT...]; the program is ended when it has said nothing for a while.
"""
import os
import pty
import select
import signal
import sys

line, name, program, *arguments = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(program, [name] + arguments)

shown = b""


def read(seconds, until=None):
    global shown
    while until is None or until not in shown:
        if not select.select([terminal], [], [], seconds)[0]:
            return
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            return
        if not piece:
            return
        shown += piece


read(20, b": ")
os.write(terminal, line.encode() + b"\n")
read(20, b"\n")
read(3)
os.kill(pid, signal.SIGTERM)
os.waitpid(pid, 0)
sys.stdout.buffer.write(shown)
