//! What one line does to a port, and whether the port may be so.

use regex::Captures;

use super::{Follower, Taken, plain, read_vlan};
use crate::device::language::{LineRule, PortField, SetTo};
use crate::guard::PortScope;
use crate::openconfig::{Interface, Mode, PortState};
use crate::slice::Slice;
use crate::vlan::{VlanId, VlanSet};

/// The VLANs that a port carries.
enum Carries {
    All,
    These(VlanSet),
}

impl<'a> Follower<'a> {
    pub(super) fn port(
        &mut self,
        port: &'a str,
        rule: &LineRule,
        captures: &Captures,
        this_vlan: Option<VlanId>,
    ) -> Result<(), String> {
        let scope = &self.scope.ports[port];
        if self.scope.protected.iter().any(|pattern| pattern.matches(port)) {
            return Err(format!("port {port} is protected"));
        }
        let old = self.ports.get(port).cloned().unwrap_or_default();
        let mut new = old.clone();
        for (name, field) in PortField::ALL {
            let Some(text) = captures.name(name).map(|group| group.as_str()) else { continue };
            match field {
                PortField::Description if rule.is_json => {
                    new.description = Some(serde_json::from_str(text).map_err(|error| error.to_string())?);
                }
                PortField::Access | PortField::Native => new.set(field, &read_vlan(text)?.to_string())?,
                PortField::Vlans if rule.is_json => new.set(field, plain(&listed(text)?)?)?,
                PortField::Vlans => new.set(field, plain(text)?)?,
                _ => new.set(field, text)?,
            }
        }
        for (field, value) in &rule.set {
            match value {
                SetTo::Text(text) => new.set(*field, text)?,
                SetTo::ThisVlan => {
                    let vlan = this_vlan.ok_or("it stands under no VLAN")?;
                    match field {
                        PortField::Vlans => {
                            new.vlans.get_or_insert_default().insert(vlan);
                        }
                        _ => new.set(*field, &vlan.to_string())?,
                    }
                }
            }
        }
        let list = |name| {
            let read = |text: &str| VlanSet::parse_list(plain(text)?).map_err(|error| error.to_string());
            captures.name(name).map(|group| read(group.as_str())).transpose()
        };
        if let Some(add) = list("add")? {
            // A port without any mode carries nothing, so its list begins here; and so does one that is a
            // trunk by its list.
            if old.mode.or(self.language.in_force.mode).is_none() || self.language.mode_by_members {
                new.vlans.get_or_insert_default();
            }
            // To add to a list that is not there narrows nothing.
            let into =
                new.vlans.as_mut().ok_or("a VLAN is added where no list is, which carries every VLAN")?;
            add.iter().for_each(|vlan| into.insert(vlan));
        }
        if let Some(gone) = list("remove")? {
            let from = new.vlans.as_ref().ok_or("a VLAN is taken from a list that is not there")?;
            new.vlans = Some(from.iter().filter(|vlan| !gone.contains(*vlan)).collect());
        }
        rule.unset.iter().for_each(|field| match (field, this_vlan) {
            (PortField::Vlans, Some(vlan)) => {
                let rest = |list: &VlanSet| list.iter().filter(|other| *other != vlan).collect();
                new.vlans = new.vlans.as_ref().map(rest);
            }
            // What is another VLAN stays.
            (PortField::Access, Some(vlan)) if new.access != Some(vlan) => {}
            (PortField::Native, Some(vlan)) if new.native != Some(vlan) => {}
            (PortField::Mode, Some(_)) => {}
            (field, _) => new.unset(*field),
        });
        // The mode goes with the last VLAN.
        let is_empty = new.vlans.as_ref().is_none_or(VlanSet::is_empty);
        if this_vlan.is_some() && rule.unset.contains(&PortField::Mode) && is_empty {
            new.mode = new.mode.filter(|_| new.access.or(new.native).is_some());
        }
        if self.language.mode_by_members {
            settle(&mut new);
            let untagged = |state: &PortState| state.access.or(state.native);
            if let (Some(one), Some(other)) = (untagged(&old), untagged(&new))
                && one != other
            {
                return Err(format!("the port is still an untagged member of VLAN {one}"));
            }
        }
        let says_all = captures.name("vlans").is_some()
            || matches!(rule.set.get(&PortField::Vlans), Some(SetTo::Text(_)));
        if says_all {
            self.told_all.insert(port);
        }
        if self.taken == Taken::Unseen {
            let joins = !gained(&old, &new, true).is_empty() && self.language.mode_by_members;
            let adds = list("add")?.is_some() || rule.set.get(&PortField::Vlans) == Some(&SetTo::ThisVlan);
            if (joins || adds) && !self.told_all.contains(port) {
                return Err(
                    "a VLAN is added to others that nobody knows: none took them away before".to_owned()
                );
            }
            if self.is_in_unknown(port, &new) {
                return Err("here the port would be in a VLAN that nobody knows".to_owned());
            }
        }
        if new != old {
            self.judge_values(port, scope, &old, &new)?;
            if self.taken != Taken::AtOnce {
                self.judge(port, scope, &old, &new)?;
                let kind = self.scope.running.leaf(&Interface::new(port).kind).unwrap_or_default();
                let mut slice = Slice::default();
                new.write(port, kind, &self.language.in_force, &mut slice);
                self.between.push(slice);
            }
        }
        self.ports.insert(port, new);
        Ok(())
    }

    /// Whether a port that was given a mode is untagged in what it was in before: no line has said where.
    fn is_in_unknown(&self, port: &str, state: &PortState) -> bool {
        let is_told = match state.mode {
            None => true,
            Some(Mode::Access) if self.language.one_list => state.vlans.is_some(),
            Some(Mode::Access) => state.access.is_some(),
            Some(Mode::Trunk) => state.native.is_some() || self.will[port].native.is_none(),
        };
        !is_told && state.enabled != Some(false)
    }

    /// What one step writes.
    fn judge_values(
        &self,
        port: &str,
        scope: &PortScope,
        old: &PortState,
        new: &PortState,
    ) -> Result<(), String> {
        let gained = gained(old, new, self.language.mode_by_members);
        if let Some(vlan) = gained.iter().find(|vlan| !scope.vlans.contains(*vlan)) {
            return Err(format!("VLAN {vlan} is not one this port may get"));
        }
        if scope.keeps.is_some() && (old.access, old.native, old.mode) != (new.access, new.native, new.mode) {
            return Err("of an uplink only the list of VLANs is changed".to_owned());
        }
        let will = &self.will[port];
        if new.description != old.description
            && new.description.is_some()
            && new.description != will.description
        {
            return Err("this description was not asked for".to_owned());
        }
        if new.mtu != old.mtu && new.mtu != will.mtu {
            return Err("this MTU was not asked for".to_owned());
        }
        // Nothing runs on a port without VLANs that the tree could be told about.
        let is_told = !self.language.stp_with_vlans || new.mode.is_some();
        if is_told && new.stp_edge != old.stp_edge && new.stp_edge != will.stp_edge {
            return Err("this STP edge was not asked for".to_owned());
        }
        if is_told && new.bpdu_guard != old.bpdu_guard && new.bpdu_guard != will.bpdu_guard {
            return Err("this BPDU guard was not asked for".to_owned());
        }
        Ok(())
    }

    /// Where one step leads, or all of them where they take effect at once.
    pub(super) fn judge(
        &self,
        port: &str,
        scope: &PortScope,
        old: &PortState,
        new: &PortState,
    ) -> Result<(), String> {
        // On the way back it has yet to get some of what it shall keep.
        let (had, has) = (self.carries(old), self.carries(new));
        let kept = |keeps: &VlanSet| keeps.iter().all(|vlan| has.contains(vlan) || !had.contains(vlan));
        if !scope.keeps.as_ref().is_none_or(kept) {
            return Err("the uplink would lose a VLAN that was not named".to_owned());
        }
        let (was, will) = (self.carries(&self.was[port]), self.carries(&self.will[port]));
        match has {
            _ if new.enabled == Some(false) => Ok(()),
            Carries::All if matches!(was, Carries::All) || scope.opens => Ok(()),
            Carries::All => Err("the port would carry every VLAN here".to_owned()),
            Carries::These(list) => {
                match list.iter().find(|vlan| !was.contains(*vlan) && !will.contains(*vlan)) {
                    Some(vlan) => {
                        Err(format!("here the port would carry VLAN {vlan}, which it neither had nor gets"))
                    }
                    None => Ok(()),
                }
            }
        }
    }

    fn carries(&self, state: &PortState) -> Carries {
        let in_force = &self.language.in_force;
        match state.mode.or(in_force.mode) {
            // Without a mode a port with an access VLAN of its own begins in that.
            None | Some(Mode::Access) if self.language.one_list => {
                Carries::These(state.vlans.iter().flat_map(VlanSet::iter).collect())
            }
            None | Some(Mode::Access) => {
                Carries::These(state.access.or(in_force.access).into_iter().collect())
            }
            Some(Mode::Trunk) => match &state.vlans {
                None => Carries::All,
                Some(list) => Carries::These(list.iter().chain(state.native).collect()),
            },
        }
    }
}

/// The values of a leaf-list, as a list of VLANs.
fn listed(json: &str) -> Result<String, String> {
    let values: Vec<String> = serde_json::from_str(json).map_err(|error| error.to_string())?;
    Ok(values.join(","))
}

impl Carries {
    fn contains(&self, vlan: VlanId) -> bool {
        match self {
            Carries::All => true,
            Carries::These(list) => list.contains(vlan),
        }
    }
}

/// What a port is by the VLANs that it is a member of.
pub(super) fn settle(state: &mut PortState) {
    let untagged = state.access.or(state.native);
    state.vlans = state.vlans.take().filter(|list| !list.is_empty());
    (state.mode, state.access, state.native) = match (&state.vlans, untagged) {
        (Some(_), untagged) => (Some(Mode::Trunk), None, untagged),
        (None, Some(_)) => (Some(Mode::Access), untagged, None),
        (None, None) => (None, None, None),
    };
}

/// Every VLAN that a step puts on a port.
fn gained(old: &PortState, new: &PortState, mode_by_members: bool) -> VlanSet {
    let single = match mode_by_members {
        // The one that is untagged is called otherwise with the first and the last that is tagged.
        true => [(old.access.or(old.native), new.access.or(new.native)), (None, None)],
        false => [(old.access, new.access), (old.native, new.native)],
    };
    let single = single.into_iter().filter(|(old, new)| old != new).filter_map(|(_, new)| new);
    let had = |vlan: &VlanId| old.vlans.as_ref().is_some_and(|list| list.contains(*vlan));
    let listed = new.vlans.iter().flat_map(VlanSet::iter).filter(|vlan| !had(vlan));
    single.chain(listed).collect()
}
