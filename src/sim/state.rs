//! What a switch reports besides its configuration (RFC 6241 7.7), worked out of running at each
//! `<get>`.

use yang5::data::DataNodeRef;
use yang5::schema::SchemaNodeKind;

use super::Quirks;
use super::tree::Tree;

const INTERFACES: &str = "/openconfig-interfaces:interfaces/interface[";
const INSTANCES: &str = "/openconfig-network-instance:network-instances/network-instance[";

/// Running with its state: a port is up where it is enabled and has a link, a VLAN is as its table
/// configures it.
pub(super) fn with_state(running: &Tree, quirks: &Quirks) -> Result<Tree, yang5::Error> {
    let mut tree = running.copy()?;
    let tops = running.first().into_iter().flat_map(|first| first.inclusive_siblings());
    for entry in tops.flat_map(|top| top.traverse()).filter(has_state) {
        let path = entry.path();
        let mut report =
            |leaf: &str, value: &str| tree.set(&format!("{path}/state/{leaf}"), Some(value)).map(drop);
        match entry.schema().name() {
            "interface" if path.starts_with(INTERFACES) => {
                let word = |is_up| if is_up { "UP" } else { "DOWN" };
                let is_enabled = config(&entry, "enabled").is_none_or(|value| value == "true");
                let has_link = config(&entry, "name").is_none_or(|name| !quirks.no_link.contains(&name));
                report("admin-status", word(is_enabled))?;
                report("oper-status", word(is_enabled && has_link))?;
                let octets = if is_enabled && has_link { quirks.octets } else { 0 };
                report("counters/in-octets", &octets.to_string())?;
                report("counters/out-octets", &octets.to_string())?;
            }
            "vlan" if path.starts_with(INSTANCES) => {
                report("vlan-id", &config(&entry, "vlan-id").unwrap_or_default())?;
                report("status", &config(&entry, "status").unwrap_or_else(|| "ACTIVE".to_owned()))?;
            }
            _ => {}
        }
    }
    Ok(tree)
}

/// Whether it is a list entry of a kind that has state.
fn has_state(node: &DataNodeRef<'_>) -> bool {
    let schema = node.schema();
    schema.kind() == SchemaNodeKind::List && schema.children().any(|child| child.name() == "state")
}

/// A leaf of the entry's `config`.
fn config(entry: &DataNodeRef<'_>, leaf: &str) -> Option<String> {
    let config = entry.children().find(|child| child.schema().name() == "config")?;
    config.children().find(|child| child.schema().name() == leaf)?.value_canonical()
}
