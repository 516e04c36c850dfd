"""Stands between sshd and a NETCONF server's subsystem and asks, before it passes a message on.

    netconf_proxy.py CONTROL SUBSYSTEM [ARGUMENT...]

CONTROL is a Unix socket on which the test listens. For every message one line goes there,
`request KIND` or `reply KIND`, and one comes back: `pass`, or `drop`, which throws the message
away and closes the session. The test may take its time to answer; the message waits, unless the
client hangs up.

KIND is the operation's name, but a commit is `confirmed-commit` with <confirmed/> in it and
`confirm` without. Messages pass byte by byte as they came, in either framing of RFC 6242.
"""

import collections
import os
import re
import select
import socket
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree

END = b"]]>]]>"
CHUNK = re.compile(rb"\n#(?:([1-9][0-9]*)|#)\n")


def messages(source):
    """Yields (the bytes as they came, the content) of each message read from a file descriptor."""
    data = b""
    while True:
        size, content = measure(data)
        if size:
            yield data[:size], content
            data = data[size:]
            continue
        more = os.read(source, 65536)
        if not more:
            return
        data += more


def measure(data):
    """The length of the message that `data` starts with and its content; 0 when it is not all there."""
    if not data.startswith(b"\n#"):
        end = data.find(END)
        return (0, b"") if end < 0 else (end + len(END), data[:end])
    content, at = b"", 0
    while header := CHUNK.match(data, at):
        at = header.end()
        if header[1] is None:
            return at, content
        content += data[at : at + int(header[1])]
        at += int(header[1])
    return 0, b""


def local_name(element):
    return element.tag.rpartition("}")[2]


def kind_of(content):
    root = ElementTree.fromstring(content.strip())
    if local_name(root) != "rpc":
        return local_name(root)
    # Only there to push an rpc that met the hello on its way, on a slow machine; no step of a change.
    if root.get("message-id") in ("0", "nudge"):
        return "push"
    operation = next(iter(root))
    if local_name(operation) != "commit":
        return local_name(operation)
    return "confirmed-commit" if any(local_name(e) == "confirmed" for e in operation) else "confirm"


def may_pass(control):
    """The test's answer. A client that hangs up meanwhile ends its session, as on any server."""
    waiting = select.poll()
    waiting.register(control, select.POLLIN)
    waiting.register(0, select.POLLRDHUP)
    ready = [source for source, _ in waiting.poll()]
    return control.fileno() in ready and control.recv(16) == b"pass\n"


def main():
    control_path, command = sys.argv[1], sys.argv[2:]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    unanswered = collections.deque()

    def pump(side, source, sink):
        control = socket.socket(socket.AF_UNIX)
        control.connect(control_path)
        for raw, content in messages(source):
            kind = kind_of(content)
            if kind == "rpc-reply":
                kind = unanswered.popleft()
            control.sendall(f"{side} {kind}\n".encode())
            if not may_pass(control):
                return
            if side == "request" and kind != "hello":
                unanswered.append(kind)
            while raw:
                raw = raw[os.write(sink, raw) :]

    def guarded(*arguments):
        try:
            pump(*arguments)
        finally:
            # One direction has ended, so has the session: nothing half open stays behind.
            server.kill()
            os._exit(0)

    threading.Thread(target=guarded, args=("reply", server.stdout.fileno(), 1), daemon=True).start()
    guarded("request", 0, server.stdin.fileno())


main()
