"""The rpcs of a verified change by ncclient: `ncclient_attach.py PORT USER KEY`.

One JSON object a line on stdin: {} connects afresh, {"edit", "filter"} makes the change. One line
comes back when it is done.
"""

import json
import sys

from ncclient import manager
from ncclient.xml_ import to_ele

NETCONF = "urn:ietf:params:xml:ns:netconf:base:1.0"


def connect(port, user, key):
    return manager.connect(
        host="127.0.0.1", port=int(port), username=user, key_filename=key,
        hostkey_verify=False, look_for_keys=False, allow_agent=False,
    )  # fmt: skip


def attach(session, edit, subtrees):
    subtree = to_ele(f'<filter xmlns="{NETCONF}" type="subtree">{subtrees}</filter>')
    with session.locked("candidate"), session.locked("running"):
        session.get_config("running", filter=subtree)
        session.edit_config(f'<config xmlns="{NETCONF}">{edit}</config>', target="candidate")
        session.commit(confirmed=True, timeout="61", persist="by-ncclient")
        session.get_config("running", filter=subtree)
        session.commit(persist_id="by-ncclient")


def main():
    session = None
    for line in sys.stdin:
        order = json.loads(line)
        if order:
            attach(session, order["edit"], order["filter"])
        else:
            if session:
                session.close_session()
            session = connect(*sys.argv[1:])
        print("done", flush=True)


main()
