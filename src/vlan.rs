//! VLAN ids and sets of them (IEEE 802.1Q: 1 to 4094).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A VLAN id between 1 and 4094; 0 and 4095 are reserved by IEEE 802.1Q.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct VlanId(u16);

/// Why a number or a text is not a VLAN id or a VLAN list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VlanError {
    #[error("VLAN id {0} is outside 1 to 4094")]
    OutOfRange(i64),
    #[error("`{0}` is not a VLAN id")]
    NotANumber(String),
    #[error("VLAN range `{0}` ends before it begins")]
    Backwards(String),
}

impl VlanId {
    pub fn new(id: i64) -> Result<Self, VlanError> {
        match u16::try_from(id) {
            Ok(id @ 1..=4094) => Ok(Self(id)),
            _ => Err(VlanError::OutOfRange(id)),
        }
    }

    /// An id that stands in our own code.
    ///
    /// # Panics
    /// If it is none.
    pub(crate) const fn known(id: u16) -> Self {
        assert!(1 <= id && id <= 4094);
        Self(id)
    }

    pub fn as_u16(self) -> u16 {
        self.0
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for VlanId {
    type Err = VlanError;

    fn from_str(text: &str) -> Result<Self, VlanError> {
        let text = text.trim();
        // i64::from_str would take "+5"; a VLAN list is digits only.
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(VlanError::NotANumber(text.to_owned()));
        }
        let id = text.parse().map_err(|_| VlanError::NotANumber(text.to_owned()))?;
        Self::new(id)
    }
}

/// A set of VLAN ids. Text form: `100-199,300`; the empty text is the empty set.
///
/// Held as the runs of consecutive ids, first and last, in order: a set of thousands, of which each
/// device has one, is mostly one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VlanSet(Vec<(VlanId, VlanId)>);

impl VlanSet {
    /// Every VLAN there can be.
    pub fn all() -> Self {
        Self(vec![(VlanId(1), VlanId(4094))])
    }

    pub fn contains(&self, id: VlanId) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&id))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.iter().map(|(first, last)| usize::from(last.0 - first.0) + 1).sum()
    }

    pub fn iter(&self) -> impl Iterator<Item = VlanId> + '_ {
        self.0.iter().flat_map(|(first, last)| (first.0..=last.0).map(VlanId))
    }

    pub fn insert(&mut self, id: VlanId) {
        self.insert_range(id, id);
    }

    /// The runs of consecutive ids, first and last.
    pub fn ranges(&self) -> &[(VlanId, VlanId)] {
        &self.0
    }

    /// Adds `first` to `last`, both included.
    fn insert_range(&mut self, first: VlanId, last: VlanId) {
        // Those that overlap it or touch it become one with it.
        let from = self.0.partition_point(|(_, end)| end.0 + 1 < first.0);
        let to = self.0.partition_point(|(start, _)| start.0 <= last.0 + 1);
        let run = match self.0.get(from..to) {
            Some([(start, end)]) => (first.min(*start), last.max(*end)),
            Some([(start, _), .., (_, end)]) => (first.min(*start), last.max(*end)),
            _ => (first, last),
        };
        self.0.splice(from..to, [run]);
    }

    /// Reads one member as OpenConfig's `trunk-vlans` spells it: `100` or `100..199`.
    pub fn parse_openconfig_member(member: &str) -> Result<Self, VlanError> {
        let mut set = Self::default();
        set.insert_text(member, "..")?;
        Ok(set)
    }

    /// Reads a list as switches spell theirs: `10,20-30`, `10 20 to 30`, `10..20`.
    pub fn parse_list(text: &str) -> Result<Self, VlanError> {
        let text = text.trim().replace("..", "-").replace(" to ", "-");
        let members = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|member| !member.is_empty());
        let mut set = Self::default();
        members.into_iter().try_for_each(|member| set.insert_text(member, "-"))?;
        Ok(set)
    }

    fn insert_text(&mut self, member: &str, dash: &str) -> Result<(), VlanError> {
        match member.split_once(dash) {
            None => self.insert(member.parse()?),
            Some((first, last)) => {
                let (first, last): (VlanId, VlanId) = (first.parse()?, last.parse()?);
                if last < first {
                    return Err(VlanError::Backwards(member.to_owned()));
                }
                self.insert_range(first, last);
            }
        }
        Ok(())
    }
}

impl FromIterator<VlanId> for VlanSet {
    fn from_iter<I: IntoIterator<Item = VlanId>>(ids: I) -> Self {
        let mut set = Self::default();
        ids.into_iter().for_each(|id| set.insert(id));
        set
    }
}

impl FromStr for VlanSet {
    type Err = VlanError;

    fn from_str(text: &str) -> Result<Self, VlanError> {
        let mut set = Self::default();
        if !text.trim().is_empty() {
            for member in text.split(',') {
                set.insert_text(member, "-")?;
            }
        }
        Ok(set)
    }
}

impl fmt::Display for VlanSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (first, last)) in self.ranges().iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for VlanSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VlanSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn ids_are_1_to_4094() {
        assert!(VlanId::new(1).is_ok() && VlanId::new(4094).is_ok());
        for bad in [0, 4095, 5000, -1, 65_536 + 5] {
            assert_eq!(VlanId::new(bad), Err(VlanError::OutOfRange(bad)));
        }
        assert!("+5".parse::<VlanId>().is_err());
    }

    #[test]
    fn sets_read_and_print_ranges() {
        let set: VlanSet = "300, 100-102,103".parse().unwrap();
        assert_eq!(set.to_string(), "100-103,300");
        assert!("".parse::<VlanSet>().unwrap().is_empty());
        for bad in ["5-3", "a", "1,,2", "0", "4095", "1-5000", "1-2-3"] {
            assert!(bad.parse::<VlanSet>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_set_is_that_of_its_ids_however_it_was_made(runs in prop::collection::vec((1u16..60, 0u16..9), 0..8)) {
            let mut set = VlanSet::default();
            runs.iter().for_each(|(first, more)| set.insert_range(VlanId(*first), VlanId(first + more)));
            let ids: BTreeSet<VlanId> =
                runs.iter().flat_map(|(first, more)| (*first..=first + more).map(VlanId)).collect();
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), ids.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(&set, &ids.iter().rev().copied().collect());
            prop_assert_eq!(&set, &set.to_string().parse::<VlanSet>().unwrap());
            prop_assert_eq!(set.len(), ids.len());
            prop_assert!((1..99).map(VlanId).all(|id| set.contains(id) == ids.contains(&id)));
            prop_assert!(set.ranges().windows(2).all(|pair| pair[0].1.0 + 1 < pair[1].0.0));
        }
    }

    #[test]
    fn openconfig_members_use_two_dots() {
        assert_eq!(VlanSet::parse_openconfig_member("7..9").unwrap().len(), 3);
        assert!(VlanSet::parse_openconfig_member("7-9").is_err());
    }
}
