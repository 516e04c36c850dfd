"""Takes a NETCONF server through one exchange with ncclient and prints what it did.

Needs a server with a candidate and confirmed-commit:1.1, OpenConfig's interfaces and an empty
configuration. The output holds nothing that differs between two servers which both do as RFC 6241
says: no messages, no session numbers, data in one canonical form.

usage: ncclient_exchange.py PORT USER KEY_FILE
"""

import sys
import time

from lxml import etree
from ncclient import manager
from ncclient.operations import RPCError

BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
IF = "http://openconfig.net/yang/interfaces"
ETH = "http://openconfig.net/yang/interfaces/ethernet"
VLAN = "http://openconfig.net/yang/vlan"
PORT_FILTER = f'<interfaces xmlns="{IF}"><interface><name>eth1</name></interface></interfaces>'


def connect():
    port, user, key = sys.argv[1:]
    return manager.connect(
        host="127.0.0.1", port=int(port), username=user, key_filename=key, hostkey_verify=False,
        look_for_keys=False, allow_agent=False, timeout=20,
    )


def step(what, act, show=("tag",)):
    """Prints `ok`, or what `show` names of the error."""
    try:
        act()
    except RPCError as error:
        fields = {
            "tag": error.tag,
            "path": (error.path or "").strip().removeprefix("/nc:rpc/nc:edit-config/nc:config"),
            "refused": "refused",
        }
        print(f"{what}:", " ".join(fields[name] for name in show))
        return error
    print(f"{what}: ok")
    return None


def info(error, name):
    """One element of error-info."""
    found = etree.fromstring(error.info.encode()).find(f"{{{BASE}}}{name}")
    return None if found is None else found.text.strip().rpartition(":")[2]


def value(element):
    """Text, with a prefix that is bound to a namespace resolved."""
    text = (element.text or "").strip()
    prefix, colon, name = text.rpartition(":")
    return f"{{{element.nsmap[prefix]}}}{name}" if colon and prefix in element.nsmap else text


def lines(element, depth=1):
    name = etree.QName(element)
    children = sorted(line for child in element for line in ["\0".join(lines(child, depth + 1))])
    if not children and not value(element):
        return []  # a container without content is as good as none
    return ["  " * depth + f"{name.localname} {value(element)}".rstrip()] + [
        line for child in children if child for line in child.split("\0")
    ]


def show(what, session, source, subtree):
    data = session.get_config(source, filter=("subtree", subtree)).data_ele
    print(f"{what}:")
    for child in data:
        for line in lines(child):
            print(line)


def config(inner, operation=""):
    return (
        f'<config xmlns="{BASE}" xmlns:nc="{BASE}"><interfaces xmlns="{IF}">'
        f"<interface{operation}>{inner}</interface></interfaces></config>"
    )


def leaf(inner):
    return config(f"<name>eth1</name><config>{inner}</config>")


def vlan(inner):
    return config(
        f'<name>eth1</name><ethernet xmlns="{ETH}"><switched-vlan xmlns="{VLAN}">'
        f"<config>{inner}</config></switched-vlan></ethernet>"
    )


def edit(session, content, default="merge"):
    return lambda: session.edit_config(content, target="candidate", default_operation=default)


def main():
    one, two = connect(), connect()
    known = ["base:1.0", "base:1.1", "capability:candidate:1.0", "capability:confirmed-commit:1.1"]
    for name in known:
        print(name, f"urn:ietf:params:netconf:{name}" in one.server_capabilities)

    # Locks.
    step("lock candidate", lambda: one.lock("candidate"))
    step("lock running", lambda: one.lock("running"))
    for store in ("candidate", "running"):
        error = step(f"lock {store} that another session holds", lambda: two.lock(store))
        print("  the error names the holder:", info(error, "session-id") == one.session_id)
    step("edit a candidate that another session holds", edit(two, leaf("<name>eth1</name>")))
    step("discard a candidate that another session holds", two.discard_changes)
    step("commit a candidate that another session holds", two.commit)
    step("unlock what another session holds", lambda: two.unlock("candidate"), ["refused"])
    # netconfd does not undo a timed commit while anyone, even its owner, holds running.
    step("unlock running", lambda: one.unlock("running"))

    # Edits and their errors.
    step("validate", lambda: one.validate("candidate"))
    base = '<name>eth1</name><type xmlns:t="urn:ietf:params:xml:ns:yang:iana-if-type">t:ethernetCsmacd</type>'
    step("create an interface", edit(one, config(f"<name>eth1</name><config>{base}</config>", ' nc:operation="create"')))
    step("commit", one.commit)
    show("running", one, "running", PORT_FILTER)
    tag_path = ["tag", "path"]
    again = config("<name>eth1</name>", ' nc:operation="create"')
    step("create it again", edit(one, again), tag_path)
    step("create a leaf again", edit(one, leaf('<name nc:operation="create">eth1</name>')), tag_path)
    step("delete a leaf that is not there", edit(one, leaf('<mtu nc:operation="delete"/>')), tag_path)
    step("remove a leaf that is not there", edit(one, leaf('<mtu nc:operation="remove"/>')))
    merge = '<config><mtu nc:operation="merge">1500</mtu></config>'
    step("default-operation none", edit(one, leaf('<mtu nc:operation="merge">1500</mtu>'), "none"))
    step("the same, no such interface", edit(one, config(f"<name>eth9</name>{merge}"), "none"), tag_path)
    inside = vlan('<access-vlan nc:operation="merge">100</access-vlan>')
    step("the same, an empty container", edit(one, inside, "none"), tag_path)
    inside = inside.replace("<ethernet", '<ethernet nc:operation="merge"')
    step("the same, the container merged", edit(one, inside.replace("access", "native"), "none"))
    step("a value out of range", edit(one, leaf("<mtu>70000</mtu>")), tag_path)
    step("a value of another type", edit(one, leaf("<enabled>perhaps</enabled>")), tag_path)
    error = step("an unknown element", edit(one, leaf("<nope/>")))
    print("  the error names it:", info(error, "bad-element"))
    error = step("an unknown namespace", edit(one, leaf('<mtu xmlns="urn:nope">1</mtu>')))
    print("  the error names it:", info(error, "bad-namespace"))
    error = step("no key", edit(one, config("<config><mtu>1500</mtu></config>")))
    print("  the error names it:", info(error, "bad-element"))
    error = step("no such operation", edit(one, leaf('<mtu nc:operation="toggle">1</mtu>')))
    print("  the error names it:", info(error, "bad-attribute"), info(error, "bad-element"))
    step("discard", one.discard_changes)

    # Confirmed commits.
    access = "<interface-mode>ACCESS</interface-mode><access-vlan>100</access-vlan>"
    step("make it an access port", edit(one, vlan(access)))
    step("timed commit", lambda: one.commit(confirmed=True, timeout="60", persist="one"))
    show("running, not confirmed", one, "running", PORT_FILTER)
    step("confirm with a wrong id", lambda: one.commit(persist_id="two"), ["refused"])
    step("confirm", lambda: one.commit(persist_id="one"))
    step("set an MTU", edit(one, leaf("<mtu>9000</mtu>")))
    step("timed commit", lambda: one.commit(confirmed=True, timeout="60", persist="three"))
    step("cancel with a wrong id", lambda: one.cancel_commit(persist_id="four"), ["refused"])
    step("cancel", lambda: one.cancel_commit(persist_id="three"))
    show("running, cancelled", one, "running", PORT_FILTER)
    step("discard", one.discard_changes)
    step("set an MTU", edit(one, leaf("<mtu>8000</mtu>")))
    step("timed commit for a second", lambda: one.commit(confirmed=True, timeout="1", persist="five"))
    for _ in range(8):
        time.sleep(2.5)  # netconfd looks at its timers only while nobody asks it anything
        if "8000" not in one.get_config("running", filter=("subtree", PORT_FILTER)).data_xml:
            print("it was undone")
            break
    step("discard", one.discard_changes)
    show("candidate, discarded", one, "candidate", PORT_FILTER)

    # Leaf-lists, a change of mode, filters.
    trunk = (
        '<access-vlan nc:operation="delete"/><interface-mode>TRUNK</interface-mode>'
        "<native-vlan>10</native-vlan><trunk-vlans>100</trunk-vlans><trunk-vlans>200..210</trunk-vlans>"
    )
    step("make it a trunk", edit(one, vlan(trunk)))
    step("take a range of VLANs away", edit(one, vlan('<trunk-vlans nc:operation="delete">200..210</trunk-vlans>')))
    step("commit", one.commit)
    step("add a VLAN that is there", edit(one, vlan('<trunk-vlans nc:operation="create">100</trunk-vlans>')))
    step("delete a VLAN that is not there", edit(one, vlan('<trunk-vlans nc:operation="delete">7</trunk-vlans>')))
    show("all interfaces", one, "running", f'<interfaces xmlns="{IF}"/>')
    show("the types alone", one, "running", f'<interfaces xmlns="{IF}"><interface><config><type/></config></interface></interfaces>')
    show("one leaf of one port", one, "running", f'<interfaces xmlns="{IF}"><interface><name>eth1</name><config><type/></config></interface></interfaces>')
    show("no such port", one, "running", PORT_FILTER.replace("eth1", "eth9"))
    step("delete the interface", edit(one, config("<name>eth1</name>", ' nc:operation="delete"'), "none"))
    step("commit", one.commit)
    show("running, empty", one, "running", f'<interfaces xmlns="{IF}"/>')

    # The end of locks.
    step("discard", one.discard_changes)
    step("unlock candidate", lambda: one.unlock("candidate"))
    step("unlock it again", lambda: one.unlock("candidate"), ["refused"])
    step("the other session locks", lambda: two.lock("candidate"))
    step("and edits", edit(two, config(f"<name>eth1</name><config>{base}</config>")))
    step("and ends", two.close_session)
    step("its lock is gone", lambda: one.lock("candidate"))
    show("and its edit", one, "candidate", PORT_FILTER)
    step("unlock", lambda: one.unlock("candidate"))
    step("close", one.close_session)


main()
