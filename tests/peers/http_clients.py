"""Calls a JSON-RPC service three times, the ways that Python programs do, and prints what came back.

usage: http_clients.py basic|digest|keystoneauth URL USER PASSWORD [CAFILE]

The output is a JSON list with the status and the body of each answer.
"""

import json
import sys

from keystoneauth1 import exceptions, http_basic, session
import requests
from requests.auth import HTTPBasicAuth, HTTPDigestAuth


def body(number):
    return {
        "jsonrpc": "2.0",
        "method": "reset_port",
        "params": {"context": {}, "switch_id": "leaf1", "port_name": "eth1", "native_vlan": 100},
        "id": number,
    }


def caller(kind, url, user, password, verify):
    if kind == "keystoneauth":
        auth = http_basic.HTTPBasicAuth(endpoint=url, username=user, password=password)
        keystone = session.Session(auth=auth, verify=verify)

        def post(number):
            try:
                return keystone.post(url, json=body(number))
            except exceptions.HttpError as error:
                return error.response

        return post
    plain = requests.Session()
    plain.trust_env = False  # or a bundle named in the environment takes CAFILE's place
    plain.verify = verify
    plain.auth = {"basic": HTTPBasicAuth, "digest": HTTPDigestAuth}[kind](user, password)
    return lambda number: plain.post(url, json=body(number))


def main():
    kind, url, user, password = sys.argv[1:5]
    post = caller(kind, url, user, password, sys.argv[5] if len(sys.argv) > 5 else True)
    answers = [post(number) for number in range(3)]
    json.dump([{"status": answer.status_code, "body": answer.json()} for answer in answers], sys.stdout)


if __name__ == "__main__":
    main()
