//! Whether lines came to what was planned.

use super::port::settle;
use super::{Follower, Taken, entries, state};
use crate::guard::ScopeError;
use crate::openconfig::{Mode, PortState, table_entry_of};
use crate::vlan::VlanSet;

impl Follower<'_> {
    /// Whether the lines came to what was planned, no less and no more.
    pub(super) fn arrived(&self) -> Result<(), ScopeError> {
        let (running, wanted) = (&self.scope.running, &self.scope.wanted);
        // Where there need not be a mode, an access port without a VLAN is as good as none.
        let says_mode = |state: &PortState| match (state.mode, self.language.one_list) {
            (Some(Mode::Access), true) => state.vlans.as_ref().is_some_and(|list| !list.is_empty()),
            (Some(Mode::Access), false) => state.access.is_some(),
            _ => true,
        };
        let with_default = |state: &PortState, of: &Self| PortState {
            mode: of
                .language
                .in_force
                .mode
                .map_or(state.mode.filter(|_| says_mode(state)), |mode| Some(state.mode.unwrap_or(mode))),
            enabled: state.enabled.or(of.language.in_force.enabled),
            access: state.access.or(of.language.in_force.access),
            native: state.native.or(of.language.in_force.native),
            mtu: state.mtu.or(of.language.in_force.mtu),
            // Where there need not be a mode, an empty list says nothing but in a trunk.
            vlans: state.vlans.clone().filter(|list| {
                !list.is_empty() || of.language.in_force.mode.is_some() || state.mode == Some(Mode::Trunk)
            }),
            ..state.clone()
        };
        for (port, found) in &self.ports {
            if self.taken == Taken::AtOnce && self.was[port] != *found {
                let judged = self.judge(port, &self.scope.ports[*port], &self.was[port], found);
                judged.map_err(|why| ScopeError::Outside { path: format!("port {port}"), why })?;
            }
            let mut planned = state(wanted, port, self.language);
            // A trunk of its native VLAN alone has the members of an access port, and nothing tells them
            // apart that is not read.
            if self.taken == Taken::Unseen && self.language.mode_by_members {
                let tagged =
                    |list: VlanSet| list.iter().filter(|vlan| planned.native != Some(*vlan)).collect();
                planned.vlans = planned.vlans.clone().map(tagged);
                settle(&mut planned);
            }
            let modes = (found.mode, planned.mode);
            let (mut found, mut planned) = (with_default(found, self), with_default(&planned, self));
            if modes.0 == modes.1 {
                (found.mode, planned.mode) = modes;
            }
            if found != planned {
                let why = format!("the lines leave {}", different(&found, &planned));
                return Err(ScopeError::Outside { path: format!("port {port}"), why });
            }
        }
        let planned = entries(wanted);
        let asked = self.scope.vlan_entries.keys().filter_map(table_entry_of).map(|(vlan, _)| vlan);
        match asked.into_iter().find(|vlan| self.entries.contains(vlan) != planned.contains(vlan)) {
            Some(vlan) => {
                let word = if planned.contains(&vlan) { "not created" } else { "not deleted" };
                let why = format!("{word} by these lines ({} were there)", entries(running).len());
                Err(ScopeError::Outside { path: format!("VLAN {vlan}"), why })
            }
            None => Ok(()),
        }
    }
}

/// The fields in which two states differ, in words.
fn different(found: &PortState, planned: &PortState) -> String {
    let words = |state: &PortState| {
        let list = |list: &VlanSet| if list.is_empty() { "none".to_owned() } else { list.to_string() };
        [
            ("mode", state.mode.map(|mode| mode.as_str().to_ascii_lowercase())),
            ("access", state.access.map(|vlan| vlan.to_string())),
            ("native", state.native.map(|vlan| vlan.to_string())),
            ("vlans", state.vlans.as_ref().map(list)),
            ("description", state.description.as_ref().map(|text| format!("{text:?}"))),
            ("enabled", state.enabled.map(|enabled| enabled.to_string())),
            ("mtu", state.mtu.map(|mtu| mtu.to_string())),
            ("STP edge", state.stp_edge.map(|edge| edge.as_str().to_owned())),
            ("BPDU guard", state.bpdu_guard.map(|guard| guard.to_string())),
        ]
    };
    let unset = |value: Option<String>| value.unwrap_or_else(|| "unset".to_owned());
    let pairs = words(found).into_iter().zip(words(planned)).filter(|(found, planned)| found != planned);
    let told: Vec<String> = pairs
        .map(|((field, found), (_, planned))| {
            format!("{field} {}, planned is {}", unset(found), unset(planned))
        })
        .collect();
    told.join("; ")
}
