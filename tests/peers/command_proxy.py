"""Stands between sshd and a command and asks before it begins and before its end is told.

    command_proxy.py CONTROL COMMAND [ARGUMENT...]

CONTROL is a Unix socket on which the test listens. `request LINE` goes there, LINE being what the
client sent, and after the command `reply LINE`. Each time one line comes back: `pass`, or `drop`,
which cuts the connection. The test may take its time to answer, unless the connection ends.
"""

import os
import select
import signal
import socket
import subprocess
import sys


def connection():
    """The nearest sshd above: the one that serves this client."""
    pid = os.getppid()
    while pid > 1:
        with open(f"/proc/{pid}/stat") as stat:
            name, rest = stat.read().partition("(")[2].rsplit(")", 1)
        if name.startswith("sshd"):
            return pid
        pid = int(rest.split()[1])
    sys.exit("no sshd started this")


def main():
    control_path, command = sys.argv[1], sys.argv[2:]
    line = " ".join(os.environ["SSH_ORIGINAL_COMMAND"].split())
    sshd = connection()
    control = socket.socket(socket.AF_UNIX)
    control.connect(control_path)
    waiting = select.poll()
    waiting.register(control, select.POLLIN)
    waiting.register(os.pidfd_open(sshd), select.POLLIN)

    def pass_or_end(side):
        control.sendall(f"{side} {line}\n".encode())
        ready = [source for source, _ in waiting.poll()]
        if control.fileno() not in ready:
            sys.exit()
        if control.recv(16) != b"pass\n":
            os.kill(sshd, signal.SIGKILL)
            sys.exit()

    pass_or_end("request")
    ran = subprocess.run(command, capture_output=True)
    pass_or_end("reply")
    sys.stdout.buffer.write(ran.stdout)
    sys.stderr.buffer.write(ran.stderr)
    sys.exit(ran.returncode)


main()
