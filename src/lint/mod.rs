//! Mistakes in profiles and templates, found before a switch is there: what the reader of the files
//! refuses, what is not defined, what cannot be written or is written and not known, and real output
//! that is not understood. Everything is tried with the code that will do it.

pub mod scenarios;
pub mod transcript;
mod trial;
mod variables;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::reader::{Problems, describe, toml_files};
use crate::device::{Language, Profile, Profiles};
use crate::schema::Schema;
pub use trial::port_like;

/// Where an operator's files are; what is none is left to those in the binary.
#[derive(Clone, Debug, Default)]
pub struct Directories {
    /// `NAME.toml`, a profile each.
    pub profiles: Option<PathBuf>,
    /// A directory a profile.
    pub templates: Option<PathBuf>,
    /// `NAME.txt` or `NAME/transcript.txt`, real output of a system each.
    pub transcripts: Option<PathBuf>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// File, and line where it is known.
    pub place: String,
    pub severity: Severity,
    pub what: String,
    /// The change during which it was found.
    pub during: Option<String>,
    pub hint: Option<&'static str>,
}

/// Whether it can do harm, or is only of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

/// What was looked at, even if it cannot be read, and what was found, sorted by place.
#[derive(Debug, Default)]
pub struct Linted {
    pub profiles: Vec<String>,
    pub findings: Vec<Finding>,
}

/// Looks at the operator's profiles, or at all of ours where he has none.
pub fn lint(directories: &Directories, schema: &Schema) -> Linted {
    let problems = Problems::default();
    let profiles =
        Profiles::read(directories.profiles.as_deref(), directories.templates.as_deref(), &problems);
    let names = names(directories, &profiles, &problems);
    let has_own = directories.profiles.is_some() || directories.templates.is_some();
    let mut linted = Linted::default();
    for error in problems.into_found() {
        let place = error.place.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
        let key = if error.key.is_empty() { String::new() } else { format!("{}: ", error.key) };
        let place = format!("{}{place}", error.file.display());
        linted.findings.push(Finding::error(&place, format!("{key}{}", error.reason), None));
    }
    for name in names {
        match profiles.get(&name) {
            Ok(profile) => {
                for way in profile.ways() {
                    if let Some(language) = way.speaks.language() {
                        linted.findings.extend(one(directories, &way, language, schema));
                    }
                }
            }
            // An operator's was reported when it was read; ours are read here.
            Err(why) if !has_own || linted.findings.is_empty() => {
                linted.findings.push(Finding::error(&name, why, None));
            }
            Err(_) => {}
        }
        linted.profiles.push(name);
    }
    linted.findings.extend(strangers(directories, &profiles));
    linted.findings.sort_by(|a, b| a.order().cmp(&b.order()).then_with(|| a.cmp(b)));
    linted
}

/// The profiles that are the operator's in any way.
fn names(directories: &Directories, profiles: &Profiles, problems: &Problems) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let stem = |path: &Path| path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
    for file in directories.profiles.iter().flat_map(|own| toml_files(own, problems)) {
        names.extend(stem(&file));
    }
    for directory in directories.templates.iter().flat_map(|own| listed(own, problems)) {
        match stem(&directory) {
            Some(name) if profiles.contains(&name) || names.contains(&name) => drop(names.insert(name)),
            _ => problems.about_file(&directory, "there is no profile of this name"),
        }
    }
    if names.is_empty() && directories.profiles.is_none() {
        profiles.names().map(str::to_owned).collect()
    } else {
        names
    }
}

fn listed(directory: &Path, problems: &Problems) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let entries = entries.unwrap_or_else(|error| {
        problems.about_file(directory, describe(&error));
        Vec::new()
    });
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    paths
}

/// Transcripts of systems that there are none of.
fn strangers(directories: &Directories, profiles: &Profiles) -> Vec<Finding> {
    let Some(directory) = &directories.transcripts else { return Vec::new() };
    let problems = Problems::default();
    let files = listed(directory, &problems);
    let known = |file: &PathBuf| {
        let name = file.file_stem().and_then(|stem| stem.to_str());
        name.is_some_and(|name| profiles.contains(name))
    };
    let stranger = |file: &PathBuf| {
        Finding::error(&file.display().to_string(), "there is no profile of this name".to_owned(), None)
    };
    let unread = problems
        .into_found()
        .into_iter()
        .map(|error| Finding::error(&error.file.display().to_string(), error.reason, None));
    files.iter().filter(|file| !known(file)).map(stranger).chain(unread).collect()
}

fn one(
    directories: &Directories,
    profile: &Arc<Profile>,
    language: &Language,
    schema: &Schema,
) -> Vec<Finding> {
    let file = format!("{}.toml", profile.name);
    let own = directories.profiles.as_ref().map(|own| own.join(&file)).filter(|own| own.is_file());
    let file = own.unwrap_or_else(|| Path::new("devices").join(&file));
    let mut findings = variables::undefined(&file, profile, language);
    let mut port = port_like(language).map(str::to_owned);
    if let Some((place, text)) =
        directories.transcripts.as_ref().and_then(|own| transcript_of(own, &profile.name))
    {
        match text {
            Ok(text) => {
                let judged = transcript::judge(&text, profile, language);
                let mistakes = judged.mistakes().into_iter();
                findings.extend(
                    mistakes.map(|(line, what)| {
                        Finding::error(&format!("{}:{line}", place.display()), what, None)
                    }),
                );
                port = judged.port.or(port);
            }
            Err(why) => findings.push(Finding::error(&place.display().to_string(), why, None)),
        }
    }
    match port {
        Some(port) => findings.extend(trial::trial(&file, &port, profile, language, schema)),
        None => findings.push(Finding::error(
            &file.display().to_string(),
            format!("no port name that is known fits values.port, {}", language.values.port),
            Some("give a transcript that reads a port back, and what is tried is tried with that port"),
        )),
    }
    findings
}

fn transcript_of(directory: &Path, profile: &str) -> Option<(PathBuf, Result<String, String>)> {
    let places = [directory.join(format!("{profile}.txt")), directory.join(profile).join("transcript.txt")];
    let place = places.into_iter().find(|place| place.exists())?;
    let text = fs::read_to_string(&place).map_err(|error| describe(&error));
    Some((place, text))
}

impl Finding {
    fn error(place: &str, what: String, hint: Option<&'static str>) -> Self {
        Self { place: place.to_owned(), severity: Severity::Error, what, during: None, hint }
    }

    fn warning(place: &str, what: String, hint: Option<&'static str>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, what, hint) }
    }

    /// The file, then the numbers behind it: line 9 stands before line 10.
    fn order(&self) -> (&str, Vec<usize>) {
        let (mut file, mut numbers) = (self.place.as_str(), Vec::new());
        while let Some((before, number)) = file.rsplit_once(':')
            && let Ok(number) = number.parse()
        {
            (file, _) = (before, numbers.insert(0, number));
        }
        (file, numbers)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.severity == Severity::Warning { "warning: " } else { "" };
        write!(f, "{}: {word}{}", self.place, self.what)?;
        if let Some(during) = &self.during {
            write!(f, "\n    in: {during}")?;
        }
        if let Some(hint) = self.hint {
            write!(f, "\n    hint: {hint}")?;
        }
        Ok(())
    }
}
