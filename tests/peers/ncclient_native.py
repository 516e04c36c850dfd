"""Changes a port of a switch of Junos' own model with ncclient, as its users do, and prints what it saw.

usage: ncclient_native.py PORT INTERFACE
"""

import json
import sys

from ncclient import manager
from ncclient.operations import RPCError

BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
XNM = "http://xml.juniper.net/xnm/1.1/xnm"
PORT, INTERFACE = int(sys.argv[1]), sys.argv[2]


def connect():
    return manager.connect(
        host="127.0.0.1", port=PORT, username="admin", password="secret", hostkey_verify=False,
        look_for_keys=False, allow_agent=False, timeout=20,
    )


def tree(inside):
    return (
        f'<configuration xmlns="{XNM}"><interfaces><interface><name>{INTERFACE}</name>{inside}'
        "</interface></interfaces></configuration>"
    )


def switching(inside):
    return tree(f"<unit><name>0</name><family><ethernet-switching>{inside}</ethernet-switching></family></unit>")


def edit(session, content):
    session.edit_config(f'<config xmlns="{BASE}">{content}</config>', target="candidate")


def found(session, source, name):
    data = session.get_config(source, filter=("subtree", tree(""))).data_ele
    return [element.text for element in data.iter(f"{{{XNM}}}{name}")]


def refused(act):
    try:
        act()
    except RPCError as error:
        return error.tag
    return None


one, two = connect(), connect()
told = {"openconfig": any("openconfig" in capability for capability in one.server_capabilities)}
one.lock("candidate")
told["locked"] = refused(lambda: two.lock("candidate"))
edit(one, switching("<vlan><members>100</members></vlan>"))
edit(one, switching('<vlan><members operation="delete">100</members><members>101</members></vlan>'))
told["candidate"] = found(one, "candidate", "members")
told["running"] = found(one, "running", "members")
told["missing"] = refused(lambda: edit(one, tree('<mtu operation="delete"/>')))
one.commit(confirmed=True, timeout="60")
one.commit()
told["committed"] = found(two, "running", "members")
told["ports"] = [name for name in found(two, "running", "name") if name != "0"]
one.unlock("candidate")
print(json.dumps(told))
