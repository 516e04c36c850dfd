"""networking-generic-switch's driver of one switch: `ngs_attach.py DEVICE_TYPE PORT USER KEY`.

One JSON object a line on stdin: {"ports", "vlan"} plugs all ports at once, each in a thread, as calls
of Neutron do. One comes back: {"seconds"} of each port, and {"until_last"} of all.
"""

import concurrent.futures
import json
import logging
import sys
import threading
import time

from networking_generic_switch import devices


def plug(switch, ports, vlan):
    begin = threading.Barrier(len(ports) + 1)

    def one(port):
        begin.wait()
        started = time.monotonic()
        switch.plug_port_to_network(port, vlan)
        return time.monotonic() - started

    with concurrent.futures.ThreadPoolExecutor(len(ports)) as pool:
        plugged = [pool.submit(one, port) for port in ports]
        begin.wait()
        started = time.monotonic()
        seconds = [future.result() for future in plugged]
        return {"seconds": seconds, "until_last": time.monotonic() - started}


def main():
    device_type, port, user, key = sys.argv[1:]
    # It warns at each call of a switch that has no command to save.
    logging.getLogger("networking_generic_switch").setLevel(logging.ERROR)
    switch = devices.device_manager({
        "device_type": device_type, "ip": "127.0.0.1", "port": port, "username": user,
        "use_keys": "true", "key_file": key, "allow_agent": "false",
    })  # fmt: skip
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(plug(switch, order["ports"], order["vlan"])), flush=True)


main()
