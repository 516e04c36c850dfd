//! What ports report of themselves. What is not reported is not there: nothing is taken for granted.

use std::collections::BTreeSet;

use minijinja::context;

use super::{Rows, Wanted, filled};
use crate::device::language::{ReadRule, StateField};
use crate::device::{Language, Profile};
use crate::openconfig::Reported;
use crate::path::Path;
use crate::slice::Slice;

impl Wanted {
    /// The commands that ask for the state of it, each with the rule that reads its output.
    pub(in crate::transport) fn state_commands<'h>(
        &self,
        language: &'h Language,
    ) -> Result<Vec<(&'h ReadRule, String)>, String> {
        self.commands_of(&language.state.reads, language)
    }

    /// What tells what it runs or, `of_state`, what it reports.
    pub(in crate::transport) fn asked<'h>(
        &self,
        of_state: bool,
        language: &'h Language,
    ) -> Result<Vec<(&'h ReadRule, String)>, String> {
        if of_state { self.state_commands(language) } else { self.commands(language) }
    }
}

impl Rows {
    /// What the rows say of what was [asked](Wanted::asked): of what runs no more than `paths`.
    pub(in crate::transport) fn told(
        &self,
        of_state: bool,
        wanted: &Wanted,
        profile: &Profile,
        language: &Language,
        paths: &[Path],
    ) -> Result<Slice, String> {
        match of_state {
            true => self.reported(wanted, profile, language),
            false => Ok(self.meaning(wanted, profile, language)?.within(paths)),
        }
    }

    /// What the rows say of the state of what was wanted.
    pub(in crate::transport) fn reported(
        &self,
        wanted: &Wanted,
        profile: &Profile,
        language: &Language,
    ) -> Result<Slice, String> {
        let mut slice = Slice::default();
        let names: BTreeSet<&str> = language.state.reads.iter().flat_map(ReadRule::fields).collect();
        for (port, row) in &self.ports {
            let Some(name) = wanted.called(port, profile) else { continue };
            let context = context! { row => filled(row, &names) };
            let reported = Reported::new(name);
            for (field_name, field) in StateField::ALL {
                let text = match language.state.meaning.get(&field) {
                    Some(meaning) => meaning.fact(&context).map_err(|error| error.to_string())?,
                    None => row.get(field_name).cloned().flatten(),
                };
                if let Some(text) = text {
                    field.check(&text).map_err(|why| format!("port {name}: {field_name}: {why}"))?;
                    slice.set_leaf(field.of(&reported).clone(), &text);
                }
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
    language: &Language,
) -> Result<Slice, String> {
    let ports = port.map(|port| BTreeSet::from([port.to_owned()]));
    let mut rows = Rows::default();
    rows.read(rule, output)?;
    rows.reported(&Wanted { ports, table: false, tree: false }, profile, language)
}
