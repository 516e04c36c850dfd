"""Takes a command line through one change with netmiko and prints what it reads back.

Logs in, becomes privileged where a secret is given, makes VLAN 100 and a port an access port of it,
saves or commits, and reads both back.

usage: netmiko_vlan.py DEVICE_TYPE PORT USER PASSWORD SECRET
"""

import sys

from netmiko import ConnectHandler

SECTIONS = {
    "change": ["vlan 100", "name blue", "interface {port}", "description to a server", "switchport mode access",
               "switchport access vlan 100"],
    "read": ["show running-config {interface} {port}", "show vlan{brief}"],
}
SYSTEMS = {
    "cisco_ios": {"port": "GigabitEthernet0/1", "interface": "interface", "brief": " brief"},
    "arista_eos": {"port": "Ethernet1", "interface": "interfaces", "brief": ""},
}


def main():
    kind, port, user, password, secret = sys.argv[1:]
    device = ConnectHandler(
        device_type=kind, host="127.0.0.1", port=int(port), username=user, password=password, secret=secret,
        fast_cli=True,
    )
    print("prompt", device.find_prompt())
    if kind == "juniper_junos":
        device.config_mode()
        device.send_config_set([
            "set vlans blue vlan-id 100",
            'set interfaces ge-0/0/1 description "to a server"',
            "set interfaces ge-0/0/1 unit 0 family ethernet-switching interface-mode access",
            "set interfaces ge-0/0/1 unit 0 family ethernet-switching vlan members blue",
        ], exit_config_mode=False)
        print(device.send_command("show | compare", expect_string=r"# ?$"))
        device.commit(check=True)
        device.commit(confirm=True, confirm_delay=5)
        device.commit()
        device.exit_config_mode()
        print(device.send_command("show configuration interfaces ge-0/0/1 | display set"))
        print(device.send_command("show configuration vlans"))
    else:
        names = SYSTEMS[kind]
        device.enable()
        print("prompt", device.find_prompt())
        device.send_config_set([line.format(**names) for line in SECTIONS["change"]], error_pattern=r"^%")
        device.save_config()
        for command in SECTIONS["read"]:
            print(device.send_command(command.format(**names)))
    device.disconnect()


if __name__ == "__main__":
    main()
