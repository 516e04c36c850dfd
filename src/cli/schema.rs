//! `mercury schema fetch`: a device's own YANG modules into a new directory, which a person reviews
//! before any configuration names it. Nothing here is loaded from the wire for use.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::process::Command;
use tokio::time::{Instant, timeout_at};

use crate::config::{self, item::parse_duration};
use crate::device::Speaks;
use crate::report::printable;
use crate::schema::{Schema, imports, statement};
use crate::transport::{self, Connect, Fault, Session};

/// What to do with the models of a device.
#[derive(Subcommand)]
pub enum SchemaCommand {
    /// Ask it for its modules over NETCONF (get-schema, RFC 6022) and write them into a new directory.
    ///
    /// Exit 1: some did not come, or libyang cannot read them together.
    Fetch(FetchArgs),
    /// Say whether libyang can read the modules of a directory together, in no more than 2 GiB of memory.
    Check {
        /// A directory of `.yang` files.
        directory: PathBuf,
    },
}

/// Which device, which modules, and where to.
#[derive(Args)]
pub struct FetchArgs {
    /// The device's name or id.
    device: String,
    /// The directory, which must not be there yet.
    #[arg(long, value_name = "DIRECTORY")]
    into: PathBuf,
    /// A module, with all that it imports; none: all that the device lists, or those that mercury needs.
    #[arg(long = "module", value_name = "NAME")]
    modules: Vec<String>,
    /// The configuration file.
    #[arg(long, default_value = "/etc/mercury/mercury.toml")]
    config: PathBuf,
    /// How long all of it may take.
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = parse_duration)]
    timeout: Duration,
}

/// More are not taken from one device.
const MOST: usize = 5000;

/// Nor more than this of text, in bytes: all of it is in memory until the last has come.
const MOST_TEXT: usize = 256 << 20;

/// What a module of a few lines can grow to in libyang's hands must not be the end of the machine.
const MOST_MEMORY: u64 = 2 << 30;

/// Runs the subcommand.
pub async fn run(command: SchemaCommand) -> Result<ExitCode> {
    match command {
        SchemaCommand::Fetch(args) => fetch_into(args).await,
        SchemaCommand::Check { directory } => {
            let limit = Rlimit { current: Some(MOST_MEMORY), maximum: Some(MOST_MEMORY) };
            setrlimit(Resource::As, limit).context("limiting our memory")?;
            Schema::from_dir(&directory)?;
            super::print("libyang reads them together\n")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn fetch_into(args: FetchArgs) -> Result<ExitCode> {
    let inventory = config::load(&args.config)?.inventory;
    let found = inventory.find(Some(&args.device), None);
    let device = found.with_context(|| format!("no device of the inventory is called `{}`", args.device))?;
    let ways = transport::ways(device);
    let Some(way) = ways.iter().find(|way| matches!(way.profile.speaks, Speaks::Netconf(_))) else {
        bail!("the profile of {} has no NETCONF, which alone tells models", device.name);
    };
    let deadline = Instant::now() + args.timeout;
    let connect: Connect = Arc::new(transport::connector);
    let opened = transport::open(way, &connect, deadline).await.opened;
    let mut session = opened.with_context(|| device.name.clone())?;
    let needed = way.profile.speaks.modules();
    let fetched = fetch(&mut *session, &args.modules, needed, deadline).await;
    session.close().await;
    let Fetched { texts, missing, .. } = fetched?;

    if texts.is_empty() {
        let why = missing.iter().map(|(name, why)| format!("{name}: {why}")).collect::<Vec<_>>().join("; ");
        bail!("{}: no module came: {why}", device.name);
    }
    DirBuilder::new().mode(0o755).create(&args.into).with_context(|| args.into.display().to_string())?;
    for (name, text) in &texts {
        write(&args.into, name, text)?;
    }
    super::print(&format!("{} modules of {} in {}\n", texts.len(), device.name, args.into.display()))?;
    for (name, why) in &missing {
        eprintln!("{}", printable(&format!("{name}: {why}")));
    }
    let checked = check(&args.into, deadline).await;
    match &checked {
        Ok(()) => super::print("libyang reads them; review them before a `[models] yang` names them\n")?,
        Err(why) => eprintln!("{}", printable(&format!("libyang cannot read them together: {why:#}"))),
    }
    let is_whole = missing.is_empty() && checked.is_ok();
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// In a process of its own: what a device sent may be made to keep libyang busy, or to break it.
async fn check(directory: &Path, deadline: Instant) -> Result<()> {
    let mut child = Command::new(std::env::current_exe().context("our own program")?);
    child.args(["schema", "check"]).arg(directory).stdin(Stdio::null()).kill_on_drop(true);
    let ended = timeout_at(deadline, child.output()).await.context("it did not come to an end in time")??;
    match ended.status.success() {
        true => Ok(()),
        false if ended.stderr.is_empty() => bail!("{}", ended.status),
        false => bail!("{}", String::from_utf8_lossy(&ended.stderr).trim().trim_start_matches("mercury: ")),
    }
}

#[derive(Default)]
struct Fetched {
    /// By name, with the revision where there is one: `ietf-interfaces@2018-02-20`.
    texts: BTreeMap<String, String>,
    /// What the device lists or a module imports, and does not give.
    missing: BTreeMap<String, String>,
    /// Of all texts, in bytes.
    size: usize,
}

impl Fetched {
    /// Keeps a text, if there are no more than `most` bytes then.
    fn add(&mut self, name: String, text: String, most: usize) -> Result<()> {
        self.size += text.len();
        if self.size > most {
            bail!("the modules are longer than {most} bytes; name those that you want with --module");
        }
        self.texts.insert(name, text);
        Ok(())
    }
}

/// Modules and all that they import.
async fn fetch(
    session: &mut dyn Session,
    named: &[String],
    needed: &[&str],
    deadline: Instant,
) -> Result<Fetched> {
    let listed = session.offers().models;
    let mut waiting: VecDeque<String> = match (named, listed.is_empty()) {
        ([], false) => listed.keys().cloned().collect(),
        ([], true) => needed.iter().map(|name| (*name).to_owned()).collect(),
        (named, _) => named.iter().cloned().collect(),
    };
    let mut seen: BTreeSet<String> = waiting.iter().cloned().collect();
    let mut fetched = Fetched::default();
    while let Some(name) = waiting.pop_front() {
        if !is_identifier(&name) {
            fetched.missing.insert(name, "is no name of a module".to_owned());
            continue;
        }
        let revision = listed.get(&name).map(String::as_str).filter(|date| is_date(date));
        let text = match session.module(&name, revision, deadline).await {
            Ok(text) if declares(&text, &name) => text,
            Ok(_) => {
                fetched.missing.insert(name, "what came is another module, or none".to_owned());
                continue;
            }
            Err(fault) if has_no_get_schema(&fault) => return Err(fault).context("it tells no models"),
            Err(fault @ Fault::Rejected(_)) => {
                fetched.missing.insert(name, fault.to_string());
                continue;
            }
            Err(fault) => return Err(fault).with_context(|| format!("module {name}")),
        };
        for import in imports(&text).filter(|import| is_identifier(import)) {
            if seen.len() < MOST && seen.insert(import.to_owned()) {
                waiting.push_back(import.to_owned());
            }
        }
        let dated = revision.or_else(|| newest(&text)).map(|date| format!("@{date}")).unwrap_or_default();
        fetched.add(format!("{name}{dated}"), text, MOST_TEXT)?;
    }
    Ok(fetched)
}

/// Whether the operation itself is unknown, so that no other module will come either.
fn has_no_get_schema(fault: &Fault) -> bool {
    let Fault::Rejected(errors) = fault else { return false };
    errors.iter().any(|error| error.tag == "operation-not-supported")
}

/// An identifier of YANG (RFC 7950 6.2), which is safe as the name of a file.
fn is_identifier(name: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_other = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    name.len() <= 200 && name.starts_with(is_first) && name.chars().all(is_other)
}

fn is_date(text: &str) -> bool {
    let is_digit = |(n, c): (usize, char)| if n == 4 || n == 7 { c == '-' } else { c.is_ascii_digit() };
    text.len() == 10 && text.chars().enumerate().all(is_digit)
}

/// Whether a text is this module or submodule, whatever comments stand before.
fn declares(text: &str, name: &str) -> bool {
    text.lines().any(|line| matches!(statement(line), Some(("module" | "submodule", own)) if own == name))
}

/// The newest revision that a text tells of itself.
fn newest(text: &str) -> Option<&str> {
    let dates = text.lines().filter_map(statement).filter(|(keyword, _)| *keyword == "revision");
    dates.map(|(_, date)| date).filter(|date| is_date(date)).max()
}

fn write(directory: &Path, name: &str, text: &str) -> Result<()> {
    let path = directory.join(format!("{name}.yang"));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.or_else(|error| {
        // Half a module would be taken for one.
        fs::remove_file(&path).ok();
        Err(error).with_context(|| path.display().to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_text_says_of_itself() {
        let text = "// x\nmodule \"a-b\" {\n  revision 2020-01-02 { }\n  revision \"2021-03-04\";\n  revision-date 2022-01-01;\n}";
        assert!(declares(text, "a-b") && !declares(text, "a"));
        assert_eq!(newest(text), Some("2021-03-04"));
        assert_eq!(newest("module x { }"), None);
    }

    #[test]
    fn modules_without_end_end() {
        let mut fetched = Fetched::default();
        assert!((0..2).all(|n| fetched.add(n.to_string(), "x".repeat(40), 100).is_ok()));
        let full = fetched.add("2".to_owned(), "x".repeat(40), 100).unwrap_err();
        assert!(full.to_string().contains("longer than 100 bytes"), "{full}");
        assert_eq!(fetched.texts.len(), 2);
    }

    #[test]
    fn no_name_leads_out_of_the_directory() {
        for bad in ["", "../x", "a/b", ".a", "a b", "-a", "a\0"] {
            assert!(!is_identifier(bad), "{bad}");
        }
        assert!(is_identifier("ietf-yang_types.v1"));
        assert!(!is_date("2020-1-01x") && !is_date("../../../x") && is_date("2020-01-01"));
    }
}
