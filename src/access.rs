//! Who may do what: the `[[access]]` rules. Pure. Who somebody is, is found out in [`crate::rpc::auth`].

use std::fmt;

use crate::device::{PortPattern, WordError};
use crate::quote::quoted;

/// Who calls, as far as it was proven.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Principal {
    /// Nobody was asked for a name: a local caller where `auth = "none"`, or this process itself.
    #[default]
    Local,
    /// A user of the password files.
    User(String),
    /// The names of a client certificate: its subject's common name and its DNS names.
    Certificate(Vec<String>),
}

/// What callers may do.
#[derive(Clone, Debug, Default)]
pub enum Access {
    /// There are no rules: every caller who may connect and log in may do everything.
    #[default]
    Unlimited,
    /// What no rule allows is refused, so no rule allows nothing.
    Rules(Vec<Rule>),
}

/// These callers may call these methods on these devices.
#[derive(Clone, Debug)]
pub struct Rule {
    pub users: Vec<Pattern>,
    pub certificates: Vec<Pattern>,
    pub methods: Vec<Pattern>,
    pub devices: Vec<Pattern>,
}

/// `*` for everything, `re:` and a regular expression that must match the whole name, or a name.
#[derive(Clone, Debug)]
pub enum Pattern {
    Any,
    Name(PortPattern),
}

impl Access {
    /// Whether the caller may call the method at all, on whatever device.
    pub fn allows_method(&self, who: &Principal, method: &str) -> bool {
        self.any(|rule| rule.is_for(who) && matches(&rule.methods, method))
    }

    /// Whether the caller may call the method on the device of this name.
    pub fn allows(&self, who: &Principal, method: &str, device: &str) -> bool {
        self.any(|rule| rule.is_for(who) && matches(&rule.methods, method) && matches(&rule.devices, device))
    }

    fn any(&self, allows: impl Fn(&Rule) -> bool) -> bool {
        match self {
            Self::Unlimited => true,
            Self::Rules(rules) => rules.iter().any(allows),
        }
    }
}

impl Rule {
    fn is_for(&self, who: &Principal) -> bool {
        match who {
            Principal::Local => false,
            Principal::User(name) => matches(&self.users, name),
            Principal::Certificate(names) => names.iter().any(|name| matches(&self.certificates, name)),
        }
    }
}

impl Pattern {
    /// Reads `*`, `re:EXPRESSION` or a name.
    pub fn new(text: &str) -> Result<Self, String> {
        match text {
            "*" => Ok(Self::Any),
            "" => Err("is empty".to_owned()),
            name => name.parse().map(Self::Name).map_err(|error: WordError| error.to_string()),
        }
    }

    /// Whether it stands for `name`.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Name(pattern) => pattern.matches(name),
        }
    }
}

/// Whether any of the patterns stands for `name`.
pub fn matches(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("a local caller"),
            Self::User(name) => write!(f, "user {}", quoted(name)),
            Self::Certificate(names) => {
                write!(f, "certificate {}", quoted(names.first().map_or("", String::as_str)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::new(text).unwrap()).collect()
    }

    fn user(name: &str) -> Principal {
        Principal::User(name.to_owned())
    }

    fn certificate(names: &[&str]) -> Principal {
        Principal::Certificate(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn without_rules_everybody_may_do_everything_and_with_none_nobody() {
        for who in [Principal::Local, user("ironic"), certificate(&["c"])] {
            assert!(Access::Unlimited.allows(&who, "update_port", "leaf1"));
            let nothing = Access::Rules(Vec::new());
            assert!(!nothing.allows_method(&who, "update_port"));
            assert!(!nothing.allows(&who, "update_port", "leaf1"));
        }
    }

    #[test]
    fn what_no_rule_allows_is_refused() {
        let access = Access::Rules(vec![
            Rule {
                users: patterns(&["ironic"]),
                certificates: patterns(&["conductor.example.org"]),
                methods: patterns(&["update_port", "reset_port"]),
                devices: patterns(&["leaf1", "re:leaf2[0-9]"]),
            },
            Rule {
                users: patterns(&["*"]),
                certificates: Vec::new(),
                methods: patterns(&["get_switches"]),
                devices: patterns(&["*"]),
            },
        ]);
        let may = |who: &Principal, method, device| access.allows(who, method, device);
        let ironic = user("ironic");
        assert!(may(&ironic, "update_port", "leaf1") && may(&ironic, "reset_port", "leaf23"));
        assert!(may(&certificate(&["x", "conductor.example.org"]), "update_port", "leaf1"));
        assert!(may(&user("guest"), "get_switches", "spine1"));
        for (who, method, device) in [
            (&ironic, "attach_port", "leaf1"),
            (&ironic, "update_port", "leaf3"),
            (&ironic, "update_port", "leaf200"),
            (&ironic, "update_port", "Leaf1"),
            (&user("Ironic"), "update_port", "leaf1"),
            (&user("conductor.example.org"), "update_port", "leaf1"),
            (&certificate(&["ironic"]), "update_port", "leaf1"),
            (&certificate(&[]), "get_switches", "leaf1"),
            (&Principal::Local, "get_switches", "leaf1"),
            // A rule's method with another rule's device.
            (&ironic, "update_port", "spine1"),
        ] {
            assert!(!may(who, method, device), "{who} {method} {device}");
        }
        assert!(access.allows_method(&ironic, "update_port"));
        assert!(!access.allows_method(&user("guest"), "update_port"));
        assert!(!access.allows_method(&Principal::Local, "get_switches"));
    }

    #[test]
    fn patterns_match_whole_names() {
        for bad in ["", "re:[", "re:a)|(b"] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
        let one = Pattern::new("re:a|b").unwrap();
        assert!(one.matches("a") && one.matches("b") && !one.matches("ab"));
        assert!(!Pattern::new("re:(?m)^a$").unwrap().matches("a\nb"));
    }
}
