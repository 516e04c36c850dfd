//! `mercury lint`: every mistake in profiles, templates and transcripts, found without a switch.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use crate::lint::{Directories, Finding, Linted, Severity, lint};
use crate::report::printable;
use crate::schema::Schema;

/// What to look at; nothing: the profiles that are part of mercury.
#[derive(Args)]
pub struct LintArgs {
    /// Directories that hold `profiles`, `templates` and `transcripts`, or some of them.
    directories: Vec<PathBuf>,
    /// A directory of profiles, `NAME.toml`.
    #[arg(long)]
    profiles: Option<PathBuf>,
    /// A directory with a directory of templates a profile.
    #[arg(long)]
    templates: Option<PathBuf>,
    /// A directory of transcripts, `NAME.txt` or `NAME/transcript.txt`: real output of a system.
    #[arg(long)]
    transcripts: Option<PathBuf>,
}

/// Prints what is wrong; exit 1 if anything is that can do harm.
pub fn run(args: &LintArgs) -> Result<ExitCode> {
    let schema = Schema::builtin()?;
    let mut linted = Linted::default();
    for directories in args.all()? {
        let more = lint(&directories, &schema);
        linted.profiles.extend(more.profiles);
        linted.findings.extend(more.findings);
    }
    for finding in &linted.findings {
        super::print(&format!("{}\n", printable(&finding.to_string())))?;
    }
    let is_error = |finding: &&Finding| finding.severity == Severity::Error;
    let errors = linted.findings.iter().filter(is_error).count();
    let warnings = linted.findings.len() - errors;
    super::print(&format!("{}: {errors} errors, {warnings} warnings\n", linted.profiles.join(", ")))?;
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl LintArgs {
    fn all(&self) -> Result<Vec<Directories>> {
        let named = Directories {
            profiles: self.profiles.clone(),
            templates: self.templates.clone(),
            transcripts: self.transcripts.clone(),
        };
        let is_named = self.profiles.is_some() || self.templates.is_some() || self.transcripts.is_some();
        let mut all = Vec::new();
        if is_named || self.directories.is_empty() {
            all.push(named);
        }
        for directory in &self.directories {
            let inside = |name: &str| Some(directory.join(name)).filter(|inside| inside.is_dir());
            let (profiles, templates) = (inside("profiles"), inside("templates"));
            if profiles.is_none() && templates.is_none() {
                bail!("{}: there is neither `profiles` nor `templates` in it", directory.display());
            }
            all.push(Directories { profiles, templates, transcripts: inside("transcripts") });
        }
        Ok(all)
    }
}
