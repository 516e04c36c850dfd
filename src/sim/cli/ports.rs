//! The names of ports, and their short forms.

use std::collections::BTreeSet;

use serde::Serialize;

/// The ports of a device, and the types that it knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Ports {
    types: Vec<String>,
    names: BTreeSet<Natural>,
}

/// A name in the order that people expect: `Ethernet2` before `Ethernet10`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Natural(pub String);

impl Natural {
    fn parts(&self) -> Vec<(&str, u64)> {
        let mut parts = Vec::new();
        let mut rest = self.0.as_str();
        while !rest.is_empty() {
            let digits = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            let (text, after) = rest.split_at(digits);
            let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            parts.push((text, after[..end].parse().unwrap_or(0)));
            rest = &after[end..];
        }
        parts
    }
}

impl Ord for Natural {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.parts().cmp(&other.parts()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Natural {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ports {
    pub fn new(types: impl IntoIterator<Item = String>, names: impl IntoIterator<Item = String>) -> Self {
        Self { types: types.into_iter().collect(), names: names.into_iter().map(Natural).collect() }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| name.0.as_str())
    }

    /// The full name of a port that exists, however short it is written.
    pub fn full(&self, word: &str) -> Option<String> {
        let digits = word.find(|c: char| c.is_ascii_digit())?;
        let (kind, number) = word.split_at(digits);
        let kind = kind.to_ascii_lowercase();
        let fits: Vec<_> = self
            .types
            .iter()
            .filter(|own| !kind.is_empty() && own.to_ascii_lowercase().starts_with(&kind))
            .collect();
        let [own] = fits[..] else { return None };
        let name = Natural(format!("{own}{number}"));
        self.names.contains(&name).then_some(name.0)
    }

    /// `Gi0/1` for `GigabitEthernet0/1`, as tables show it.
    pub fn short(name: &str) -> String {
        let digits = name.find(|c: char| c.is_ascii_digit()).unwrap_or(name.len());
        format!("{}{}", &name[..2.min(digits)], &name[digits..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let types = ["GigabitEthernet", "TenGigabitEthernet", "Tunnel"].map(str::to_owned);
        let ports = Ports::new(types, ["GigabitEthernet0/10", "GigabitEthernet0/2"].map(str::to_owned));
        assert_eq!(ports.full("gi0/2").as_deref(), Some("GigabitEthernet0/2"));
        for unknown in ["gi0/3", "t0/2", "0/2", "gi"] {
            assert_eq!(ports.full(unknown), None, "{unknown}");
        }
        assert_eq!(ports.names().collect::<Vec<_>>(), ["GigabitEthernet0/2", "GigabitEthernet0/10"]);
        assert_eq!(Ports::short("GigabitEthernet0/2"), "Gi0/2");
    }
}
