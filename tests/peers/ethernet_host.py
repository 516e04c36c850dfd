"""A machine on a wire: `ethernet_host.py NAME`, in a network namespace of its own.

Prints {"started"} when it is in there. Then one JSON object a line on stdin:
    {"open": INTERFACE}                     sets it up; answered with {"mac"}
    {"ask": ID, "to": NAME, "tag": TAG}     sends a frame that NAME answers; then {"answered": ID}
    {"flood": [TAG, ...], "pause": SECONDS} sends a round of frames, one a tag, again and again
    {"flush": ID}                           takes what has come so far; then {"flushed": ID, "lost"}
Frames go to everybody, in the VLAN TAG or, when it is null, untagged. Each that comes is one line on
stdout: when the kernel had it in nanoseconds, its tag as received, and what its sender wrote in it.
"""

import fcntl
import json
import os
import selectors
import socket
import struct
import sys
import time

ETHERTYPE = 0x88B5  # for local experiments, IEEE 802
EVERYBODY = b"\xff" * 6
SHORTEST = 60
# Not in the socket module: linux/if_packet.h, asm-generic/socket.h, linux/if_ether.h, linux/if.h.
SOL_PACKET, PACKET_STATISTICS, PACKET_AUXDATA = 263, 6, 8
SO_TIMESTAMPNS, SO_RCVBUFFORCE = 35, 33
ETH_P_ALL, IFF_UP, SIOCGIFFLAGS, SIOCSIFFLAGS = 3, 1, 0x8913, 0x8914
TP_STATUS_VLAN_VALID = 1 << 4
ROOM = 8 << 20
ANCILLARY = socket.CMSG_SPACE(16) + socket.CMSG_SPACE(20)

name = sys.argv[1]
wire = None
mac = None
lost = 0
flood, pause, rounds, next_round = [], 0.0, 0, 0.0
lines = []


def open_wire(interface):
    global wire, mac
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    wire.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
    wire.setblocking(False)
    wire.bind((interface, ETH_P_ALL))
    mac = wire.getsockname()[4]
    request = struct.pack("16sh14x", interface.encode(), 0)
    flags = struct.unpack_from("16sh", fcntl.ioctl(wire, SIOCGIFFLAGS, request))[1]
    fcntl.ioctl(wire, SIOCSIFFLAGS, struct.pack("16sh14x", interface.encode(), flags | IFF_UP))
    return {"mac": mac.hex(":")}


def send(destination, tag, kind, **more):
    vlan = b"" if tag is None else struct.pack("!HH", 0x8100, tag)
    body = json.dumps({"from": name, "kind": kind, "sent": tag, **more}).encode()
    frame = destination + mac + vlan + struct.pack("!H", ETHERTYPE) + body
    try:
        wire.send(frame.ljust(SHORTEST, b"\0"))
    except OSError:
        pass  # the wire is cut, or full: a frame is lost, as frames are


def receive():
    """Takes one frame; False when there is none."""
    try:
        frame, ancillary, _, address = wire.recvmsg(2048, ANCILLARY)
    except BlockingIOError:
        return False
    except OSError:
        return True  # told once that the wire was cut
    if address[2] == socket.PACKET_OUTGOING:
        return True
    at, tag = 0, None
    for level, what, data in ancillary:
        if (level, what) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = struct.unpack("qq", data)
            at = seconds * 1_000_000_000 + nanoseconds
        elif (level, what) == (SOL_PACKET, PACKET_AUXDATA):
            status, tci = struct.unpack_from("I12xH", data)
            if status & TP_STATUS_VLAN_VALID:
                tag = tci & 0xFFF
    if struct.unpack_from("!H", frame, 12)[0] != ETHERTYPE:
        return True  # the kernels' own: they look for neighbours
    body = json.loads(frame[14:].rstrip(b"\0"))
    lines.append({"at": at, "vlan": tag, **body})
    if body.get("to") == name:
        if body["kind"] == "question":
            send(frame[6:12], tag, "answer", to=body["from"], id=body["id"])
        elif body["kind"] == "answer":
            lines.append({"answered": body["id"]})
    return True


def lost_so_far():
    """Reading the kernel's count resets it."""
    global lost
    lost += struct.unpack("II", wire.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
    return lost


def obey(order):
    global flood, pause, next_round
    if "open" in order:
        lines.append(open_wire(order["open"]))
        selector.register(wire, selectors.EVENT_READ)
    elif "ask" in order:
        send(EVERYBODY, order["tag"], "question", to=order["to"], id=order["ask"])
    elif "flood" in order:
        flood, pause, next_round = order["flood"], order["pause"], time.monotonic()
    elif "flush" in order:
        while receive():
            pass
        lines.append({"flushed": order["flush"], "lost": lost_so_far()})


selector = selectors.DefaultSelector()
selector.register(sys.stdin, selectors.EVENT_READ)
os.set_blocking(sys.stdin.fileno(), False)
orders = b""
print(json.dumps({"started": True}), flush=True)
while True:
    ready = selector.select(max(next_round - time.monotonic(), 0) if flood else None)
    for key, _ in ready:
        if key.fileobj is wire:
            for _ in range(64):
                if not receive():
                    break
        else:
            chunk = os.read(sys.stdin.fileno(), 65536)
            if not chunk:
                sys.exit()
            *whole, orders = (orders + chunk).split(b"\n")
            for line in whole:
                obey(json.loads(line))
    if flood and time.monotonic() >= next_round:
        rounds += 1
        for tag in flood:
            send(EVERYBODY, tag, "noise", round=rounds)
        next_round = time.monotonic() + pause
    if lines:
        sys.stdout.write("".join(json.dumps(line) + "\n" for line in lines))
        sys.stdout.flush()
        lines.clear()
