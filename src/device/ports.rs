//! Port names: what the configuration calls what LLDP reports, and which ports may be touched.

use std::str::FromStr;

use regex::Regex;

use crate::device::{Device, WordError};

/// `re:` and a regular expression that must match the whole name, or a name.
#[derive(Clone, Debug)]
pub enum PortPattern {
    Name(String),
    Regex(Regex),
}

/// One way in which LLDP's name for a port differs from the configuration's.
#[derive(Clone, Debug)]
pub struct PortRename {
    /// Searched for in the name; every match is replaced. `^` and `$` tie it to the ends.
    pub pattern: Regex,
    /// With `$1` or `${name}` for what a group matched.
    pub rewrite: String,
}

/// Why a port must not be touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortRefused {
    #[error("port `{port}` of {device} is protected")]
    Protected { device: String, port: String },
    #[error("port `{port}` of {device} is one of its trunk_ports")]
    Uplink { device: String, port: String },
    #[error("port `{port}` of {device} is not among its allowed ports")]
    NotAllowed { device: String, port: String },
}

impl Device {
    /// What the configuration calls the port that LLDP reports as `reported`: rewritten by the first
    /// rule that finds something in it, the device's own before its profile's.
    pub fn port_name(&self, reported: &str) -> String {
        let mut rules = self.port_names.iter().chain(&self.profile.port_names);
        match rules.find(|rule| rule.pattern.is_match(reported)) {
            Some(rule) => rule.pattern.replace_all(reported, rule.rewrite.as_str()).into_owned(),
            None => reported.to_owned(),
        }
    }

    /// Equal for two spellings of one port, for comparing only.
    pub fn port_key(&self, port: &str) -> String {
        if self.profile.port_names_ignore_case { port.to_lowercase() } else { port.to_owned() }
    }

    /// Whether the configuration of `port` may be changed; a protection beats a permission.
    pub fn may_touch(&self, port: &str) -> Result<(), PortRefused> {
        let matched = |patterns: &[PortPattern]| patterns.iter().any(|pattern| pattern.matches(port));
        let (device, port) = (self.name.clone(), port.to_owned());
        if matched(&self.protected_ports) {
            return Err(PortRefused::Protected { device, port });
        }
        if self.trunk_ports.iter().any(|uplink| self.port_key(uplink) == self.port_key(&port)) {
            return Err(PortRefused::Uplink { device, port });
        }
        match &self.allowed_ports {
            Some(allowed) if !matched(allowed) => Err(PortRefused::NotAllowed { device, port }),
            _ => Ok(()),
        }
    }
}

impl PortRename {
    /// A rule, unless the pattern is no expression or the replacement names a group that it lacks.
    pub fn new(pattern: &str, rewrite: &str) -> Result<Self, WordError> {
        let pattern = Regex::new(pattern).map_err(|error| WordError::Regex(last_line(&error.to_string())))?;
        // The regex crate puts nothing in a missing group's place: `$1x` would be group `1x`, and empty.
        let reference = Regex::new(r"\$(?:(\$)|\{([^}]*)\}|([0-9A-Za-z_]+))")
            .map_err(|error| WordError::Regex(error.to_string()))?;
        for found in reference.captures_iter(rewrite) {
            let Some(name) = found.get(2).or(found.get(3)) else { continue };
            let name = name.as_str();
            let known = match name.parse::<usize>() {
                Ok(number) => number < pattern.captures_len(),
                Err(_) => pattern.capture_names().flatten().any(|known| known == name),
            };
            if !known {
                return Err(WordError::Group(name.to_owned()));
            }
        }
        Ok(Self { pattern, rewrite: rewrite.to_owned() })
    }
}

impl PortPattern {
    /// The same for a device to which `Eth1` and `eth1` are one port.
    pub(super) fn ignoring_case(&self) -> Result<Self, WordError> {
        let pattern = match self {
            Self::Name(name) => format!(r"(?i)\A{}\z", regex::escape(name)),
            Self::Regex(regex) => format!("(?i){regex}"),
        };
        Regex::new(&pattern).map(Self::Regex).map_err(|error| WordError::Regex(last_line(&error.to_string())))
    }

    pub fn matches(&self, port: &str) -> bool {
        match self {
            Self::Name(name) => name == port,
            Self::Regex(regex) => regex.is_match(port),
        }
    }
}

impl FromStr for PortPattern {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let Some(pattern) = text.strip_prefix("re:") else {
            return if text.is_empty() { Err(WordError::EmptyPort) } else { Ok(Self::Name(text.to_owned())) };
        };
        // Alone first: `a)|(b` is no expression, but would become one inside the group.
        Regex::new(pattern)
            .and_then(|_| Regex::new(&format!(r"\A(?:{pattern})\z")))
            .map(Self::Regex)
            .map_err(|error| WordError::Regex(last_line(&error.to_string())))
    }
}

/// The reason in regex's drawing of where the mistake is.
pub(super) fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default();
    line.trim().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_name() {
        let matches = |pattern: &str, port| pattern.parse::<PortPattern>().unwrap().matches(port);
        assert!(matches("eth1", "eth1") && !matches("eth1", "eth10") && !matches("eth.", "eth1"));
        assert!(matches("re:eth[0-9]|lo", "eth1") && matches("re:eth[0-9]|lo", "lo"));
        assert!(!matches("re:eth[0-9]", "eth10") && !matches("re:eth[0-9]", "veth1"));
        assert!(!matches("re:(?m)^eth1$", "eth1\neth2"));
        for bad in ["", "re:[", "re:a)|(b", "re:(?x)a # b"] {
            assert!(bad.parse::<PortPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_protection_can_ignore_case() {
        let matches = |pattern: &str, port| {
            pattern.parse::<PortPattern>().unwrap().ignoring_case().unwrap().matches(port)
        };
        assert!(matches("Eth1.5", "eTH1.5") && !matches("Eth1.5", "eth1x5") && !matches("Eth1", "eth10"));
        assert!(matches("re:eth[0-9]", "ETH1") && !matches("re:eth[0-9]", "VETH1"));
    }

    #[test]
    fn a_port_is_renamed_once_by_the_first_rule_that_fits() {
        let mut device = crate::device::sample("leaf1");
        let rename = |pattern, rewrite| PortRename::new(pattern, rewrite).unwrap();
        device.port_names = vec![rename("^Eth([0-9/]+)$", "Ethernet$1"), rename("^E", "never")];
        let mut profile = device.profile.as_ref().clone();
        profile.port_names = vec![rename("^swp(?<n>[0-9])", "eth${n}_"), rename("-", "/")];
        device.profile = profile.into();
        for (reported, name) in [
            ("Eth1/1", "Ethernet1/1"),
            ("Ethernet1/1", "neverthernet1/1"),
            ("swp1-2", "eth1_-2"),
            ("1-2-3", "1/2/3"),
            ("lo", "lo"),
            ("", ""),
        ] {
            assert_eq!(device.port_name(reported), name);
        }
    }

    #[test]
    fn a_rewrite_names_groups_that_there_are() {
        for good in ["", "x", "$1", "${1}x", "$0", "${n}", "$$9", "a$"] {
            assert!(PortRename::new("(?<n>a)", good).is_ok(), "{good}");
        }
        for bad in ["$2", "$1x", "${m}", "${}", "$$$2"] {
            assert!(PortRename::new("(?<n>a)", bad).is_err(), "{bad}");
        }
        assert!(PortRename::new("(", "x").is_err());
    }
}
