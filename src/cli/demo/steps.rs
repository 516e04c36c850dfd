//! What is asked, and all that must come of it.

use serde_json::{Value, json};

use super::lab::LEAVES;

/// One thing to show.
pub struct Step {
    pub title: &'static str,
    /// The switch it is about; all others must stay as they are.
    pub switch: &'static str,
    /// What goes wrong there: in words, and as the simulator takes it.
    pub fault: Option<(&'static str, &'static str)>,
    pub ask: Ask,
    pub answer: Answer,
    /// Every leaf of running that is different afterwards; none: running is the same, byte for byte.
    pub changes: &'static [&'static str],
    /// Parts of the answer worth a look.
    pub shows: &'static [&'static str],
}

/// How a switch is changed.
pub enum Ask {
    Rpc {
        words: String,
        method: &'static str,
        params: Value,
    },
    /// The inverse that came with the answer before, sent without the service.
    InverseByHand,
}

/// What must come back, beside the changes.
pub enum Answer {
    /// A plan; the switch was read and nothing else.
    Planned,
    /// With these phases, in any order.
    Applied(&'static [&'static str]),
    Unchanged,
    /// Ironic's own form of an answer, with this status.
    Ironic(&'static str),
    /// Begun, failed in this phase after running was changed so often, and taken back.
    RolledBack {
        phase: &'static str,
        commits: u64,
        says: &'static str,
    },
    /// No switch heard of it.
    Refused {
        code: i64,
        says: &'static str,
    },
    /// Running is what it was before the step before, byte for byte.
    Undone,
}

const PORT_ID: &str = "5a8ab2ee-94d0-4b0f-a9a2-4b5b0a9a3f6d";

fn mac(switch: &str) -> Option<&'static str> {
    LEAVES.iter().find(|leaf| leaf.name == switch).map(|leaf| leaf.mac)
}

/// As ML2 calls. `more` is added to the parameters.
fn attach(switch: &str, port: &str, vlan: i64, more: Value) -> Ask {
    let what = format!("{port} of {switch} into VLAN {vlan}");
    let mut all = json!({ "segment": { "network_type": "vlan", "segmentation_id": vlan } });
    let words = if more == json!({}) { what } else { format!("{what}, with {more}") };
    merge(&mut all, more);
    ml2("attach_port", switch, port, words, all)
}

fn detach(switch: &str, port: &str) -> Ask {
    ml2("detach_port", switch, port, format!("{port} of {switch}"), json!({}))
}

fn ml2(method: &'static str, switch: &str, port: &str, words: String, mut params: Value) -> Ask {
    let link = json!([{ "switch_id": mac(switch), "port_id": port }]);
    let profile = json!({ "local_link_information": link });
    merge(&mut params, json!({ "port": { "id": PORT_ID, "binding:profile": profile } }));
    Ask::Rpc { words: format!("{method}: {words}"), method, params }
}

/// As Ironic calls, with what it sends beside the arguments.
fn ironic(method: &'static str, switch: &str, mut params: Value) -> Ask {
    let words = format!("{method}: {switch}, {params}");
    merge(&mut params, json!({ "switch_id": mac(switch), "context": {}, "rpc.version": "1.0" }));
    Ask::Rpc { words, method, params }
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// The demo, in order.
pub fn steps() -> Vec<Step> {
    let trunk = json!({ "port": { "trunk_details": { "sub_ports": [
        { "segmentation_id": 110 }, { "segmentation_id": 111 }, { "segmentation_id": 112 } ] } } });
    vec![
        Step {
            title: "A dry-run shows what an attach would do. The switch is read, nothing more.",
            switch: "leaf1",
            fault: None,
            ask: attach("leaf1", "eth1", 100, json!({ "dry_run": true })),
            answer: Answer::Planned,
            changes: &[],
            shows: &["request", "diff", "payload"],
        },
        Step {
            title: "The same for real: staged, committed on a timer, read back, compared, confirmed.",
            switch: "leaf1",
            fault: None,
            ask: attach("leaf1", "eth1", 100, json!({})),
            answer: Answer::Applied(&["lock", "plan", "journal", "stage", "commit", "confirm"]),
            changes: &[
                "+ eth1/config/description = Neutron Port 5a8ab2ee-94d0-4b0f-a9a2-4b5b0a9a3f6d",
                "+ eth1/ethernet/switched-vlan/config/access-vlan = 100",
                "+ eth1/ethernet/switched-vlan/config/interface-mode = ACCESS",
            ],
            shows: &["diff"],
        },
        Step {
            title: "Asked again, the port already is as asked: nothing is sent that changes it.",
            switch: "leaf1",
            fault: None,
            ask: attach("leaf1", "eth1", 100, json!({})),
            answer: Answer::Unchanged,
            changes: &[],
            shows: &[],
        },
        Step {
            title: "A trunk in Ironic's own words. leaf2 confirms only in the session that committed.",
            switch: "leaf2",
            fault: None,
            ask: ironic(
                "update_port",
                "leaf2",
                json!({ "port_name": "eth1", "description": "Ironic Port 5a8ab2ee-94d0-4b0f-a9a2-4b5b0a9a3f6d",
                    "mode": "trunk", "native_vlan": 100, "allowed_vlans": [110, 111, 112] }),
            ),
            answer: Answer::Ironic("configured"),
            changes: &[
                "+ eth1/config/description = Ironic Port 5a8ab2ee-94d0-4b0f-a9a2-4b5b0a9a3f6d",
                "+ eth1/ethernet/switched-vlan/config/interface-mode = TRUNK",
                "+ eth1/ethernet/switched-vlan/config/native-vlan = 100",
                "+ eth1/ethernet/switched-vlan/config/trunk-vlans = 110..112",
            ],
            shows: &[],
        },
        Step {
            title: "Ironic takes it back and leaves the idle network's VLAN 999, and nothing else.",
            switch: "leaf2",
            fault: None,
            ask: ironic(
                "reset_port",
                "leaf2",
                json!({ "port_name": "eth1", "native_vlan": 100, "allowed_vlans": [110, 111, 112],
                    "default_vlan": 999 }),
            ),
            answer: Answer::Ironic("reset"),
            changes: &[
                "- eth1/config/description = Ironic Port 5a8ab2ee-94d0-4b0f-a9a2-4b5b0a9a3f6d",
                "- eth1/ethernet/switched-vlan/config/interface-mode = TRUNK",
                "- eth1/ethernet/switched-vlan/config/native-vlan = 100",
                "- eth1/ethernet/switched-vlan/config/trunk-vlans = 110..112",
                "+ eth1/ethernet/switched-vlan/config/access-vlan = 999",
                "+ eth1/ethernet/switched-vlan/config/interface-mode = ACCESS",
            ],
            shows: &[],
        },
        Step {
            title: "A trunk on leaf3, which promises less. The answer names the risks, and the inverse.",
            switch: "leaf3",
            fault: None,
            ask: attach("leaf3", "eth1", 100, trunk),
            answer: Answer::Applied(&["lock", "plan", "journal", "stage", "commit"]),
            changes: &[
                "+ eth1/config/description = Neutron Port 5a8ab2ee-94d0-4b0f-a9a2-4b5b0a9a3f6d",
                "+ eth1/ethernet/switched-vlan/config/interface-mode = TRUNK",
                "+ eth1/ethernet/switched-vlan/config/native-vlan = 100",
                "+ eth1/ethernet/switched-vlan/config/trunk-vlans = 110..112",
            ],
            shows: &["inverse"],
        },
        Step {
            title: "That inverse is complete: sent as it is by a plain NETCONF client, it undoes the attach.",
            switch: "leaf3",
            fault: None,
            ask: Ask::InverseByHand,
            answer: Answer::Undone,
            changes: &[
                "- eth1/config/description = Neutron Port 5a8ab2ee-94d0-4b0f-a9a2-4b5b0a9a3f6d",
                "- eth1/ethernet/switched-vlan/config/interface-mode = TRUNK",
                "- eth1/ethernet/switched-vlan/config/native-vlan = 100",
                "- eth1/ethernet/switched-vlan/config/trunk-vlans = 110..112",
            ],
            shows: &[],
        },
        Step {
            title: "A detach isolates: no VLAN, no description of ours, and the port is down.",
            switch: "leaf1",
            fault: None,
            ask: detach("leaf1", "eth1"),
            answer: Answer::Applied(&["stage", "commit", "confirm"]),
            changes: &[
                "- eth1/config/description = Neutron Port 5a8ab2ee-94d0-4b0f-a9a2-4b5b0a9a3f6d",
                "- eth1/config/enabled = true",
                "- eth1/ethernet/switched-vlan/config/access-vlan = 100",
                "- eth1/ethernet/switched-vlan/config/interface-mode = ACCESS",
                "+ eth1/config/enabled = false",
            ],
            shows: &[],
        },
        Step {
            title: "leaf4 refuses the edit. The caller learns what it said, and that nothing changed.",
            switch: "leaf4",
            fault: None,
            ask: attach("leaf4", "eth1", 150, json!({})),
            answer: Answer::RolledBack { phase: "stage", commits: 0, says: "the device refused" },
            changes: &[],
            shows: &[],
        },
        Step {
            title: "Worse: the commit works, and its answer is lost. A new session cancels it and looks.",
            switch: "leaf1",
            fault: Some(("it commits, then the connection breaks", "confirmed-commit:drop-after")),
            ask: attach("leaf1", "eth2", 100, json!({})),
            answer: Answer::RolledBack { phase: "commit", commits: 1, says: "no answer" },
            changes: &[],
            shows: &[],
        },
        Step {
            title: "The same where nothing can be cancelled: a new session finds that the change stands.",
            switch: "leaf3",
            fault: Some(("it takes the edit, then the connection breaks", "edit-config:drop-after")),
            ask: attach("leaf3", "eth2", 100, json!({})),
            answer: Answer::Applied(&["commit", "settle"]),
            changes: &[
                "+ eth2/config/description = Neutron Port 5a8ab2ee-94d0-4b0f-a9a2-4b5b0a9a3f6d",
                "+ eth2/ethernet/switched-vlan/config/access-vlan = 100",
                "+ eth2/ethernet/switched-vlan/config/interface-mode = ACCESS",
            ],
            shows: &[],
        },
        Step {
            title: "A protected port is refused before any switch is contacted.",
            switch: "leaf1",
            fault: None,
            ask: attach("leaf1", "eth48", 100, json!({})),
            answer: Answer::Refused { code: 400, says: "protected" },
            changes: &[],
            shows: &[],
        },
        Step {
            title: "So is a VLAN that the operator does not allow.",
            switch: "leaf1",
            fault: None,
            ask: attach("leaf1", "eth1", 200, json!({})),
            answer: Answer::Refused { code: 400, says: "not allowed" },
            changes: &[],
            shows: &[],
        },
    ]
}
