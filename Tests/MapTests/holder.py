"""Holds a listening socket and keeps one provider on it, as a master does.

python3 holder.py SOCKET PIDS PROGRAM ARGUMENT ...: each start adds a line with the process id to the file PIDS.
"""
import ctypes
import os
import signal
import socket
import sys

path, pids, program = sys.argv[1], sys.argv[2], sys.argv[3:]
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(1024)
while True:
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        os.dup2(listener.fileno(), 3)
        os.set_inheritable(3, True)
        os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
        os.execv(program[0], program)
    with open(pids, "a") as file:
        print(pid, file=file)
    os.waitpid(pid, 0)
