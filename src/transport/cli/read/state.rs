//! What ports report of themselves. What is not reported is not there: nothing is taken for granted.

use std::collections::BTreeSet;

use minijinja::context;

use super::{Rows, Wanted, filled};
use crate::device::Profile;
use crate::device::cli::{CliHabits, ReadRule};
use crate::openconfig::{Interface, Status};
use crate::slice::Slice;

impl Wanted {
    /// The commands that ask for the state of it, each with the rule that reads its output.
    pub(in super::super) fn state_commands<'h>(
        &self,
        habits: &'h CliHabits,
    ) -> Result<Vec<(&'h ReadRule, String)>, String> {
        self.commands_of(&habits.state.reads, habits)
    }
}

impl Rows {
    /// What the rows say of the state of what was wanted.
    pub(in super::super) fn reported(
        &self,
        wanted: &Wanted,
        profile: &Profile,
        habits: &CliHabits,
    ) -> Result<Slice, String> {
        let mut slice = Slice::default();
        let names: BTreeSet<&str> = habits.state.reads.iter().flat_map(ReadRule::fields).collect();
        for (port, row) in &self.ports {
            let Some(name) = wanted.called(port, profile) else { continue };
            let context = context! { row => filled(row, &names) };
            for status in Status::ALL {
                let word = match habits.state.meaning.get(&status) {
                    Some(meaning) => meaning.fact(&context).map_err(|error| error.to_string())?,
                    None => row.get(status.name()).cloned().flatten(),
                };
                let Some(word) = word else { continue };
                if !status.words().contains(&word.as_str()) {
                    let (status, known) = (status.name(), status.words().join(", "));
                    return Err(format!("port {name}: {status}: `{word}` is none of {known}"));
                }
                slice.set_leaf(status.of(&Interface::new(name)), &word);
            }
        }
        Ok(slice)
    }
}

/// What one output says of the state of this port (none: of every port).
///
/// # Errors
/// What cannot be read.
pub(crate) fn reported(
    rule: &ReadRule,
    output: &str,
    port: Option<&str>,
    profile: &Profile,
    habits: &CliHabits,
) -> Result<Slice, String> {
    let ports = port.map(|port| BTreeSet::from([port.to_owned()]));
    let mut rows = Rows::default();
    rows.read(rule, output)?;
    rows.reported(&Wanted { ports, table: false }, profile, habits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;

    #[test]
    fn the_model_has_these_words() {
        let schema = Schema::builtin().unwrap();
        let eth1 = Interface::new("eth1");
        for status in Status::ALL {
            for word in status.words() {
                let leaf = (status.of(&eth1), (*word).to_owned());
                let understood = schema.understand(std::slice::from_ref(&leaf), true).unwrap();
                assert_eq!(understood.leaf(&leaf.0), Some(*word));
            }
            assert!(schema.understand(&[(status.of(&eth1), "BROKEN".to_owned())], true).is_err());
        }
    }
}
