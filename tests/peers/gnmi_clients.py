"""Speaks to a gNMI target with clients that nobody here wrote, and prints what it got.

usage: gnmi_clients.py pygnmi PORT PASSWORD [CA [CERTIFICATE KEY]]
       gnmi_clients.py login PORT PASSWORD CA [CERTIFICATE KEY]
       gnmi_clients.py commits PORT PASSWORD
       gnmi_clients.py native PORT PASSWORD

The first goes through capabilities, get and set with pygnmi, the second only tries to connect, with a
certificate or none and no password. The third takes the stubs of gnmi-pb through the commit-confirmed
extension; where a timer has to run out it prints `waiting` and goes on when a line comes in. The fourth
reads and writes a model of a vendor's own, under the origin `native`. The others need
a port eth1 and a configuration that is otherwise empty. The two packages have the same messages, so no
process can load both.
"""

import json
import logging
import sys

PORT = "/interfaces/interface[name=eth1]"
TRUNK = {"interface-mode": "TRUNK", "native-vlan": 10, "trunk-vlans": [100, "200..210"]}


def step(name, act):
    """Prints the answer, or the status."""
    import grpc

    try:
        answer = act()
    except Exception as error:
        # pygnmi wraps the status.
        status = getattr(error, "orig_exc", error)
        if not isinstance(status, grpc.RpcError):
            raise
        print(f"{name}: {status.code().name}")
        return None
    print(f"{name}: {answer}", flush=True)
    return answer


def security(ca=None, certificate=None, key=None):
    if ca is None:
        return {"insecure": True}
    if certificate is None:
        return {"path_cert": ca}  # the name that pygnmi has for the authority alone
    return {"path_root": ca, "path_cert": certificate, "path_key": key}


def login(port, password, *files):
    from pygnmi.client import gNMIclient

    logging.disable(logging.CRITICAL)
    # Without a time to wait it does not try again.
    client = gNMIclient(("127.0.0.1", port), **security(*files), gnmi_timeout=0)
    step("login", lambda: client.connect().capabilities()["gnmi_version"])


def with_pygnmi(port, password, *files):
    from pygnmi.client import gNMIclient

    logging.disable(logging.CRITICAL)
    target = ("127.0.0.1", port)
    with gNMIclient(target, username="admin", password=password, gnmi_timeout=30, **security(*files)) as client:
        capabilities = client.capabilities()
        models = [model["name"] for model in capabilities["supported_models"]]
        print("version", capabilities["gnmi_version"], sorted(capabilities["supported_encodings"]))
        print("models", "openconfig-interfaces" in models, "openconfig-vlan" in models)

        def get(path, datatype="config", encoding="json_ietf"):
            answer = client.get(path=[path], datatype=datatype, encoding=encoding)
            return [
                (update["path"], update["val"])
                for notification in answer["notification"]
                for update in notification["update"]
            ]

        def results(**operations):
            answer = client.set(encoding="json_ietf", **operations)
            return [(result["op"], result["path"]) for result in answer["response"]]

        vlans = f"{PORT}/ethernet/switched-vlan/config"
        step("one leaf", lambda: get(f"{PORT}/config/enabled"))
        step("the same in JSON", lambda: get(f"openconfig:{PORT}/config/enabled", encoding="json"))
        step("its state", lambda: get(f"{PORT}/state", "state"))
        step("no such port", lambda: get("/interfaces/interface[name=eth9]"))
        step("no such node", lambda: get("/interfaces/nope"))
        step("update", lambda: results(update=[(f"{PORT}/config", {"mtu": 9000, "description": "x"})]))
        step("update of a leaf", lambda: results(update=[(f"{PORT}/config/mtu", 1500)]))
        step("both", lambda: [get(f"{PORT}/config/{leaf}")[0][1] for leaf in ("mtu", "description")])
        step("a trunk", lambda: results(update=[(vlans, TRUNK)]))
        step("its VLANs", lambda: get(f"{vlans}/trunk-vlans"))
        access = {"interface-mode": "ACCESS", "access-vlan": 100}
        step("replace", lambda: results(replace=[(vlans, access)]))
        step("what is there", lambda: get(vlans))
        # pygnmi takes text for JSON that is ready.
        order = {
            "delete": [f"{PORT}/config/mtu"],
            "replace": [(f"{PORT}/config/description", '"y"')],
            "update": [(f"{PORT}/config/mtu", 9000)],
        }
        step("all three", lambda: results(**order))
        step("the order", lambda: [get(f"{PORT}/config/{leaf}")[0][1] for leaf in ("mtu", "description")])
        step("a value that is not valid", lambda: results(update=[(f"{PORT}/config/mtu", "big")]))
        wrong = {"update": [(f"{PORT}/config/mtu", 1500), (f"{vlans}/native-vlan", 10)]}
        step("a configuration that is not valid", lambda: results(**wrong))
        step("all or nothing", lambda: get(f"{PORT}/config/mtu"))
        step("delete", lambda: results(delete=[f"{PORT}/ethernet"]))
        step("it is gone", lambda: get(f"{PORT}/ethernet"))
    stranger = gNMIclient(target, username="admin", password="wrong", **security(*files))
    step("a wrong password", lambda: stranger.connect(30))


def native(port, password):
    from pygnmi.client import gNMIclient

    logging.disable(logging.CRITICAL)
    entry = "native:/top/list[name=a/1]"
    with gNMIclient(("127.0.0.1", port), username="admin", password=password, insecure=True, gnmi_timeout=30) as client:

        def get(path):
            answer = client.get(path=[path], datatype="config", encoding="json_ietf")
            return [update["val"] for notification in answer["notification"] for update in notification["update"]]

        def results(**operations):
            answer = client.set(encoding="json_ietf", **operations)
            return [(result["op"], result["path"]) for result in answer["response"]]

        step("what is there", lambda: get("native:/top"))
        step("an entry", lambda: get(entry))
        step("a leaf", lambda: get(f"{entry}/mode"))
        step("no such entry", lambda: get("native:/top/list[name=b]"))
        step("update", lambda: results(update=[(entry, {"vlan": 100}), (f"{entry}/more", {"x": 1})]))
        step("it is merged", lambda: get(entry))
        step("replace", lambda: results(replace=[(f"{entry}/more", {"y": 2})]))
        step("it is replaced", lambda: get(f"{entry}/more"))
        step("a new entry", lambda: results(update=[("native:/top/list[name=b]/mode", '"trunk"')]))
        step("delete", lambda: results(delete=[f"{entry}/more", "native:/top/list[name=b]"]))
        step("what is left", lambda: get("native:/top"))
        step("two origins", lambda: results(delete=[f"{entry}/more", "/interfaces/interface[name=eth1]/config/mtu"]))
        step("another origin", lambda: get("other:/top"))


def commits(port, password):
    import grpc
    from gnmi_pb import gnmi_ext_pb2 as ext
    from gnmi_pb import gnmi_pb2 as gnmi
    from gnmi_pb.gnmi_pb2_grpc import gNMIStub

    stub = gNMIStub(grpc.insecure_channel(f"127.0.0.1:{port}"))
    metadata = [("username", "admin"), ("password", password)]
    elems = [
        gnmi.PathElem(name="interfaces"),
        gnmi.PathElem(name="interface", key={"name": "eth1"}),
        gnmi.PathElem(name="config"),
    ]

    def mtu():
        path = gnmi.Path(elem=elems + [gnmi.PathElem(name="mtu")])
        request = gnmi.GetRequest(path=[path], type=gnmi.GetRequest.CONFIG, encoding=gnmi.JSON_IETF)
        answer = stub.Get(request, metadata=metadata, timeout=30)
        return json.loads(answer.notification[0].update[0].val.json_ietf_val)

    def send(value=None, **commit):
        request = gnmi.SetRequest()
        if value is not None:
            update = request.update.add()
            update.path.elem.extend(elems)
            update.val.json_ietf_val = json.dumps({"mtu": value}).encode()
        if commit:
            request.extension.append(ext.Extension(commit=ext.Commit(**commit)))
        answer = stub.Set(request, metadata=metadata, timeout=30)
        return [gnmi.UpdateResult.Operation.Name(result.op) for result in answer.response]

    def timed(seconds):
        request = ext.CommitRequest()
        request.rollback_duration.FromSeconds(seconds)
        return request

    confirm, cancel = ext.CommitConfirm(), ext.CommitCancel()
    step("confirm without a commit", lambda: send(id="a", confirm=confirm))
    step("cancel without a commit", lambda: send(id="a", cancel=cancel))
    step("no id", lambda: send(9000, commit=timed(60)))
    step("plain", lambda: send(1500))
    step("commit", lambda: send(9000, id="a", commit=timed(60)))
    step("another", lambda: send(9001, id="b", commit=timed(60)))
    step("a plain one", lambda: send(9001))
    step("confirm with a wrong id", lambda: send(id="b", confirm=confirm))
    step("cancel with a wrong id", lambda: send(id="b", cancel=cancel))
    step("confirm with an operation", lambda: send(9001, id="a", confirm=confirm))
    step("confirm", lambda: send(id="a", confirm=confirm))
    step("it stays", mtu)
    step("confirm again", lambda: send(id="a", confirm=confirm))
    step("commit", lambda: send(9100, id="c", commit=ext.CommitRequest()))
    step("it is there", mtu)
    step("cancel", lambda: send(id="c", cancel=cancel))
    step("it is undone", mtu)
    step("commit for an hour", lambda: send(9200, id="d", commit=timed(3600)))
    shorter = ext.CommitSetRollbackDuration()
    shorter.rollback_duration.FromSeconds(1)
    step("it is there", mtu)
    step("for a second", lambda: send(id="d", set_rollback_duration=shorter))
    print("waiting", flush=True)
    sys.stdin.readline()
    step("its time is over", mtu)
    step("confirm", lambda: send(id="d", confirm=confirm))


port, password, *files = sys.argv[2:]
{"pygnmi": with_pygnmi, "login": login, "commits": commits, "native": native}[sys.argv[1]](int(port), password, *files)
