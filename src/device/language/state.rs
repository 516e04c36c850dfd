//! What ports report of themselves.

use std::collections::BTreeMap;

use super::{Expression, ReadRule};
use crate::openconfig::Reported;
use crate::path::Path;

/// How ports are asked what they report of themselves; nothing: they are not asked.
#[derive(Clone, Debug, Default)]
pub struct StateHabits {
    pub reads: Vec<ReadRule>,
    /// What the fields that were read mean, where they are not called so.
    pub meaning: BTreeMap<StateField, Expression>,
}

/// A field of [`Reported`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StateField {
    Admin,
    Oper,
    InOctets,
    OutOctets,
}

impl StateField {
    /// Every field, by the name that profiles and answers use.
    pub const ALL: [(&'static str, Self); 4] = [
        ("admin_status", Self::Admin),
        ("oper_status", Self::Oper),
        ("in_octets", Self::InOctets),
        ("out_octets", Self::OutOctets),
    ];

    pub fn named(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|(known, _)| *known == name);
        let known =
            || format!("unknown field \"{name}\" (known: {})", Self::ALL.map(|(name, _)| name).join(", "));
        found.map(|(_, field)| field).ok_or_else(known)
    }

    pub fn of(self, reported: &Reported) -> &Path {
        match self {
            Self::Admin => &reported.admin_status,
            Self::Oper => &reported.oper_status,
            Self::InOctets => &reported.in_octets,
            Self::OutOctets => &reported.out_octets,
        }
    }

    /// Whether it can be this.
    ///
    /// # Errors
    /// What it can be.
    pub fn check(self, text: &str) -> Result<(), String> {
        let words: &[&str] = match self {
            Self::Admin => &["UP", "DOWN", "TESTING"],
            Self::Oper => &["UP", "DOWN", "TESTING", "UNKNOWN", "DORMANT", "NOT_PRESENT", "LOWER_LAYER_DOWN"],
            Self::InOctets | Self::OutOctets => {
                return text.parse::<u64>().map(drop).map_err(|_| format!("`{text}` is no number of octets"));
            }
        };
        match words.contains(&text) {
            true => Ok(()),
            false => Err(format!("`{text}` is none of {}", words.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;

    #[test]
    fn the_model_has_what_fields_can_be() {
        let schema = Schema::builtin().unwrap();
        let eth1 = Reported::new("eth1");
        let texts =
            ["UP", "DOWN", "TESTING", "UNKNOWN", "DORMANT", "NOT_PRESENT", "LOWER_LAYER_DOWN", "BROKEN"];
        for (_, field) in StateField::ALL {
            for text in texts.into_iter().chain(["0", "18446744073709551615", "18446744073709551616", "-1"]) {
                let leaf = (field.of(&eth1).clone(), text.to_owned());
                assert_eq!(
                    field.check(text).is_ok(),
                    schema.understand(&[leaf], true).is_ok(),
                    "{field:?} {text}"
                );
            }
        }
    }
}
