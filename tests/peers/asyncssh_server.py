"""An SSH server with the logins and algorithms of other devices than OpenSSH, on 127.0.0.1.

    asyncssh_server.py {password | keyboard-interactive | terminal} USERNAME PASSWORD [--old]

It takes that one kind of login; with `terminal` it lets everybody in and asks on the terminal, behind a
banner, as Dell's PowerConnect switches do: then it plays a switch with a few commands. With --old it knows only the algorithms of switches from before
2013. Its `netconf` subsystem says hello (base:1.0, candidate) and answers a few operations.
When ready it prints one line of JSON: {"port": ..., "host_key": "ssh-... AAAA..."}.
"""

import argparse
import asyncio
import json
import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import quoteattr

import asyncssh

BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
END = "]]>]]>"
HELLO = f"""<hello xmlns="{BASE}"><capabilities><capability>urn:ietf:params:netconf:base:1.0</capability>\
<capability>urn:ietf:params:netconf:capability:candidate:1.0</capability></capabilities>\
<session-id>1</session-id></hello>"""
OLD = {
    "kex_algs": ["diffie-hellman-group14-sha1"],
    "encryption_algs": ["aes128-cbc"],
    "mac_algs": ["hmac-sha1"],
    "compression_algs": ["none"],
}
ANSWERS = {
    "get-config": "<data/>",
    "get": "<data/>",
    "lock": "<ok/>",
    "unlock": "<ok/>",
    "discard-changes": "<ok/>",
    "close-session": "<ok/>",
}
REFUSAL = """<rpc-error><error-type>protocol</error-type><error-tag>operation-not-supported</error-tag>\
<error-severity>error</error-severity></rpc-error>"""


def server_class(login, username, password):
    def right(user, answer):
        return user == username and answer == password

    class Password(asyncssh.SSHServer):
        def password_auth_supported(self):
            return True

        def validate_password(self, user, answer):
            return right(user, answer)

        # asyncssh offers keyboard-interactive by itself where passwords are taken.
        def kbdint_auth_supported(self):
            return False

    class KeyboardInteractive(asyncssh.SSHServer):
        def kbdint_auth_supported(self):
            return True

        def get_kbdint_challenge(self, user, lang, submethods):
            self.user = user
            return "", "", "", [("Password: ", False)]

        def validate_kbdint_response(self, user, responses):
            return len(responses) == 1 and right(self.user, responses[0])

    class Anybody(asyncssh.SSHServer):
        def begin_auth(self, user):
            return False

    return {"password": Password, "keyboard-interactive": KeyboardInteractive, "terminal": Anybody}[login]


def switch(username, password):
    commands = {
        "terminal datadump": "",
        "show version": "SW version    2.0.0.46\r\n",
        "show interfaces description": "Port      Description\r\n-------   -----------\r\ng1        uplink\r\ng2\r\n",
        "show running-config": "interface range ethernet g(1-2)\r\nswitchport access vlan 7\r\nexit\r\n",
    }

    async def line(process, echo):
        """What is typed until Enter, shown as `echo` has it."""
        typed = ""
        while True:
            for key in await process.stdin.read(1024):
                if key in "\r\n":
                    process.stdout.write("\r\n")
                    return typed
                typed += key
                process.stdout.write(echo(key))

    async def asked(process):
        process.stdout.write("\r\n\r\nUser Name:")
        user = await line(process, str)
        process.stdout.write("Password:")
        answer = await line(process, lambda key: "*")
        process.stdout.write("\r\n")
        return (user, answer) == (username, password)

    async def play(process):
        process.stdout.write("\r\nAuthorised use only. Your User Name: is recorded.\r\n")
        for _ in range(3):
            if await asked(process):
                break
            process.stdout.write("authentication failed\r\n")
        else:
            process.exit(1)
            return
        while True:
            process.stdout.write("\r\nconsole# ")
            command = await line(process, str)
            process.stdout.write(commands.get(command, "% Unrecognized command\r\n" if command else ""))

    return play


async def netconf(process):
    if process.subsystem != "netconf":
        process.exit(1)
        return
    process.stdout.write(HELLO + END)
    try:
        while message := await process.stdin.readuntil(END):
            root = ElementTree.fromstring(message.removesuffix(END).strip())
            if not root.tag.endswith("}rpc"):
                continue
            operation = root[0].tag.rpartition("}")[2]
            attributes = f'xmlns="{BASE}" message-id={quoteattr(root.get("message-id", ""))}'
            body = ANSWERS.get(operation, REFUSAL)
            process.stdout.write(f"<rpc-reply {attributes}>{body}</rpc-reply>{END}")
            if operation == "close-session":
                break
    except asyncio.IncompleteReadError:
        pass
    process.exit(0)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("login", choices=["password", "keyboard-interactive", "terminal"])
    parser.add_argument("username")
    parser.add_argument("password")
    parser.add_argument("--old", action="store_true")
    options = parser.parse_args()

    host_key = asyncssh.generate_private_key("ssh-rsa" if options.old else "ssh-ed25519")
    [key_pair] = asyncssh.load_keypairs(host_key)
    if options.old:
        # The same key could also sign with SHA-2; an old switch does not offer that.
        key_pair.host_key_algorithms = [b"ssh-rsa"]
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=server_class(options.login, options.username, options.password),
        server_host_keys=[key_pair],
        process_factory=switch(options.username, options.password) if options.login == "terminal" else netconf,
        line_editor=False,
        **(OLD if options.old else {}),
    )
    public = host_key.export_public_key().decode().strip()
    print(json.dumps({"port": server.get_port(), "host_key": public}), flush=True)
    await server.wait_closed()


asyncio.run(main())
