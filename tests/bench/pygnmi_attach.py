"""A verified change by pygnmi: `pygnmi_attach.py PORT CA CERTIFICATE KEY`.

One JSON object a line on stdin: {} connects afresh, {"get", "delete", "update"} reads, makes the change in
one Set, and reads it back, over the connection that is open. One line comes back when it is done.
"""

import json
import logging
import sys

from pygnmi.client import gNMIclient


def connect(port, ca, certificate, key):
    client = gNMIclient(("127.0.0.1", port), path_root=ca, path_cert=certificate, path_key=key)
    client.connect()
    return client


def attach(client, paths, delete, update):
    client.get(path=paths, datatype="config", encoding="json_ietf")
    client.set(delete=delete, update=[tuple(one) for one in update], encoding="json_ietf")
    return client.get(path=paths, datatype="config", encoding="json_ietf")


def main():
    # It writes its log to stdout.
    logging.disable(logging.CRITICAL)
    client = None
    for line in sys.stdin:
        order = json.loads(line)
        if order:
            attach(client, order["get"], order["delete"], order["update"])
        else:
            if client:
                client.close()
            client = connect(*sys.argv[1:])
        print("done", flush=True)


main()
