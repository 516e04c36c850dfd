//! What a change leads to.

use crate::path::Path;
use crate::plan::Risk;
use crate::slice::{Slice, Value};
use crate::vlan::VlanSet;

/// What a change wants, beside the slice it wants it as.
pub struct Target {
    pub after: Slice,
    /// List entries that the change ensures and does not own; its inverse leaves them.
    pub shared: Vec<Path>,
    pub risks: Vec<Risk>,
}

impl Target {
    /// Nothing changes yet.
    pub fn new(before: &Slice) -> Self {
        Self { after: before.clone(), shared: Vec::new(), risks: Vec::new() }
    }

    /// Keeps the device's own spelling of what stays and adds the rest as runs.
    pub fn trunk_list(&mut self, list: &VlanSet, path: &Path) {
        let kept: Vec<(String, VlanSet)> = match self.after.value(path) {
            Some(Value::Set(members)) => members
                .iter()
                .filter_map(|m| VlanSet::parse_openconfig_member(m).ok().map(|vlans| (m.clone(), vlans)))
                .filter(|(_, vlans)| vlans.iter().all(|vlan| list.contains(vlan)))
                .collect(),
            _ => Vec::new(),
        };
        let missing: VlanSet =
            list.iter().filter(|vlan| !kept.iter().any(|(_, have)| have.contains(*vlan))).collect();
        self.after.unset(path);
        for (member, _) in kept {
            self.after.add_member(path.clone(), member);
        }
        for (first, last) in missing.ranges() {
            let member = if first == last { first.to_string() } else { format!("{first}..{last}") };
            self.after.add_member(path.clone(), member);
        }
    }
}
