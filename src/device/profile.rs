//! Profiles: what is known about an operating system, as data. Those in `devices/` are part of
//! the binary; an operator's directory adds to them or takes the place of one by its file name.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use include_dir::{Dir, File, include_dir};

use crate::config::reader::{ConfigErrors, Item, Problems, Table, hint, read_file, read_text, toml_files};
use crate::device::cli::TemplateSources;
use crate::device::{
    CliHabits, NetconfHabits, OpenConfigHabits, PortRename, Profile, Speaks, SshHabits, WordError, safe_name,
};
use crate::transport::Timed;
use crate::transport::ssh::known_algorithm;

/// Profiles by name.
pub type Profiles = BTreeMap<String, Arc<Profile>>;

static BUILTIN: Dir = include_dir!("$CARGO_MANIFEST_DIR/devices");

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

impl Profile {
    /// The profiles in the binary.
    pub fn builtin() -> Result<Profiles, ConfigErrors> {
        let problems = Problems::default();
        let profiles = Self::read_builtin(None, &problems);
        problems.finish(Some(profiles))
    }

    /// Those of the binary. `templates`: an operator's directory of templates, with a directory a profile.
    pub(crate) fn read_builtin(templates: Option<&Path>, problems: &Problems) -> Profiles {
        let read = |file: &File| {
            let name = file.path().file_stem()?.to_str()?;
            let (text, path) =
                (file.contents_utf8().unwrap_or_default(), Path::new("devices").join(file.path()));
            let sources = |name: &str| template_sources(name, templates, problems);
            let profile = read_text(&path, text, problems, |table| Self::read(name, table, sources))?;
            Some((profile.name.clone(), Arc::new(profile)))
        };
        BUILTIN.files().filter_map(read).collect()
    }

    /// Every `NAME.toml` of a directory. `templates` as for the others.
    pub(crate) fn read_directory(
        directory: &Path,
        templates: Option<&Path>,
        problems: &Problems,
    ) -> Profiles {
        let sources = |name: &str| template_sources(name, templates, problems);
        let mut profiles = Profiles::new();
        for file in toml_files(directory, problems) {
            let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if let Err(why) = safe_name(name) {
                problems.about_file(&file, why);
            } else if let Some(profile) = read_file(&file, problems, |table| Self::read(name, table, sources))
            {
                profiles.insert(name.to_owned(), Arc::new(profile));
            }
        }
        profiles
    }

    /// Reads one. `templates` gives what its directory holds.
    fn read(name: &str, table: &Table, templates: impl Fn(&str) -> Option<TemplateSources>) -> Option<Self> {
        let description = table.required("description").and_then(|item| item.filled_text());
        let aliases = table.get("aliases").and_then(|item| item.list(Item::filled_text));
        let port_names = port_names(table);
        let ignore_case = table.get("port_names_ignore_case").and_then(|item| item.boolean());
        let openconfig = table.required_table("openconfig", OpenConfigHabits::read);
        let speaks = match table.one_of("netconf", "cli")?.name {
            "netconf" => table.table("netconf", |table| {
                let (ssh, habits) = (SshHabits::read(table), NetconfHabits::read(table));
                Some((ssh?, Speaks::Netconf(habits?)))
            }),
            _ => table.table("cli", |table| {
                let ssh = SshHabits::read(table);
                let habits = CliHabits::read(table, templates(name).as_ref());
                Some((ssh?, Speaks::Cli(Arc::new(habits?))))
            }),
        };
        let (ssh, speaks) = speaks?;
        Some(Self {
            name: name.to_owned(),
            description: description?,
            aliases: aliases.unwrap_or_default().into_iter().collect(),
            port_names,
            port_names_ignore_case: ignore_case.unwrap_or_default(),
            openconfig: openconfig?,
            ssh,
            speaks,
        })
    }
}

/// The templates of a profile: the operator's, where there is a directory of them, else those of the
/// binary.
fn template_sources(name: &str, templates: Option<&Path>, problems: &Problems) -> Option<TemplateSources> {
    let own = templates.map(|templates| templates.join(name)).filter(|own| own.is_dir());
    let Some(own) = own else { return TemplateSources::builtin(name) };
    match TemplateSources::read(&own) {
        Ok(sources) => Some(sources),
        Err(error) => {
            problems.about_file(&own, error);
            None
        }
    }
}

/// The profile of this name.
pub(crate) fn profile(profiles: &Profiles, name: &str) -> Result<Arc<Profile>, String> {
    profiles.get(name).cloned().ok_or_else(|| {
        let hint = hint(name, profiles.keys().map(String::as_str));
        format!("unknown profile \"{name}\"{hint}")
    })
}

/// The rules of `[[port_names]]`, of a profile or a device.
pub(super) fn port_names(table: &Table) -> Vec<PortRename> {
    let mut rules = Vec::new();
    table.tables("port_names", |table| {
        let pattern = table.required("match").and_then(|item| item.text());
        let rewrite = table.required("rewrite").and_then(|item| item.text());
        let (Some(pattern), Some(rewrite)) = (pattern, rewrite) else { return };
        match PortRename::new(pattern, rewrite) {
            Ok(rule) => rules.push(rule),
            Err(why @ WordError::Group(_)) => table.refuse("rewrite", why),
            Err(why) => table.refuse("match", why),
        }
    });
    rules
}

impl OpenConfigHabits {
    fn read(table: &Table) -> Option<Self> {
        let network_instance = table.get("network_instance").and_then(|item| item.filled_text());
        let interface_type = table.required("interface_type").and_then(|item| item.read(identity));
        let creates_interfaces = table.get("creates_interfaces").and_then(|item| item.boolean());
        let native_in_trunk_vlans = table.required("native_in_trunk_vlans").and_then(|item| item.boolean());
        Some(Self {
            network_instance,
            interface_type: interface_type?,
            creates_interfaces: creates_interfaces.unwrap_or(true),
            native_in_trunk_vlans: native_in_trunk_vlans?,
        })
    }
}

impl NetconfHabits {
    fn read(table: &Table) -> Option<Self> {
        let confirm = table.required("confirm").and_then(|item| {
            item.choice(&[
                ("auto", None),
                ("persist", Some(Timed::Persist)),
                ("session-bound", Some(Timed::SessionBound)),
                ("any-commit", Some(Timed::AnyCommit)),
                ("none", Some(Timed::None)),
            ])
        });
        let timer_granularity =
            table.required("timer_granularity").and_then(|item| item.duration(SECOND..=SECOND * 60));
        Some(Self { confirm: confirm?, timer_granularity: timer_granularity? })
    }
}

impl SshHabits {
    fn read(table: &Table) -> Option<Self> {
        let idle_limit = table.required("idle_limit").and_then(|item| item.duration(Duration::ZERO..=HOUR));
        let keepalive = table.get("keepalive").and_then(|item| item.duration(SECOND..=HOUR));
        let algorithms = table.get("ssh_algorithms").and_then(|item| item.list(|item| item.read(algorithm)));
        Some(Self { idle_limit: idle_limit?, keepalive, algorithms: algorithms.unwrap_or_default() })
    }
}

/// An identity with its module, `iana-if-type:ethernetCsmacd`.
fn identity(text: &str) -> Result<String, String> {
    let word = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c))
    };
    match text.split_once(':') {
        Some((module, name)) if word(module) && word(name) => Ok(text.to_owned()),
        _ => Err(format!("expected MODULE:IDENTITY, found \"{text}\"")),
    }
}

fn algorithm(name: &str) -> Result<String, String> {
    if known_algorithm(name) { Ok(name.to_owned()) } else { Err(format!("unknown SSH algorithm \"{name}\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_in_the_binary() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("devices");
        let problems = Problems::default();
        let files = Profile::read_directory(&directory, None, &problems);
        let files = problems.finish(Some(files)).unwrap();
        let builtin = Profile::builtin().unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), builtin.keys().collect::<Vec<_>>());
        assert!(builtin.iter().all(|(name, profile)| *name == profile.name));
    }
}
