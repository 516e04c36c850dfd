//! Profiles: what is known about an operating system, as data. Those in `devices/` are part of
//! the binary; an operator's directory adds to them or takes the place of one by its file name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use include_dir::{Dir, File, include_dir};
use toml::de::DeTable;

use crate::config::reader::{ConfigErrors, Item, Problems, Table, file_text, hint, read_layers, toml_files};
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
        // Compiling all their patterns takes a while, and they never change.
        static READ: OnceLock<Profiles> = OnceLock::new();
        if let Some(profiles) = READ.get() {
            return Ok(profiles.clone());
        }
        let problems = Problems::default();
        let profiles = Self::read_all(None, None, &problems);
        let profiles = problems.finish(Some(profiles))?;
        Ok(READ.get_or_init(|| profiles).clone())
    }

    /// Those in the binary, and every `NAME.toml` of an operator's directory. `templates`: the operator's
    /// templates, with a directory a profile.
    pub(crate) fn read_all(own: Option<&Path>, templates: Option<&Path>, problems: &Problems) -> Profiles {
        let mut texts: Texts = BUILTIN.files().filter_map(builtin_text).collect();
        for file in own.into_iter().flat_map(|own| toml_files(own, problems)) {
            let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            match safe_name(&name).and_then(|_| file_text(&file, 0o002)) {
                Ok(text) => drop(texts.insert(name, (file, text.into()))),
                Err(why) => problems.about_file(&file, why),
            }
        }
        let mut profiles = Profiles::new();
        for name in texts.keys() {
            let Some(layers) = layers(name, &texts, problems) else { continue };
            let mut sources = TemplateSources::default();
            for layer in layers.iter().rev() {
                sources.lay(TemplateSources::builtin(layer));
                let own = templates.map(|templates| templates.join(layer)).filter(|own| own.is_dir());
                match own.map(|own| TemplateSources::read(&own)).transpose() {
                    Ok(own) => sources.lay(own),
                    Err(error) => problems.about_file(Path::new(&error.place), &error.why),
                }
            }
            let texts: Vec<(&Path, &str)> = layers
                .iter()
                .filter_map(|layer| texts.get(*layer))
                .map(|(path, text)| (&**path, &**text))
                .collect();
            if let Some(profile) = read_layers(&texts, problems, |table| Self::read(name, table, &sources)) {
                profiles.insert(name.clone(), Arc::new(profile));
            }
        }
        profiles
    }

    fn read(name: &str, table: &Table, templates: &TemplateSources) -> Option<Self> {
        // What it says was followed already.
        table.get("like");
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
                let habits = CliHabits::read(table, templates);
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

/// The texts of profiles and where they are from, by name.
type Texts = BTreeMap<String, (PathBuf, Cow<'static, str>)>;

fn builtin_text(file: &'static File) -> Option<(String, (PathBuf, Cow<'static, str>))> {
    let name = file.path().file_stem()?.to_str()?.to_owned();
    Some((name, (Path::new("devices").join(file.path()), file.contents_utf8()?.into())))
}

/// A profile and those that it is `like`, the nearest first; none: one of them is not there.
fn layers<'t>(name: &'t str, texts: &'t Texts, problems: &Problems) -> Option<Vec<&'t str>> {
    let mut layers = vec![name];
    while let Some((path, text)) = layers.last().and_then(|last| texts.get(*last)) {
        // A broken text is found where it is read.
        let like = DeTable::parse(text).ok().and_then(|tree| {
            let like = tree.get_ref().get("like")?;
            Some((like.get_ref().as_str()?.to_owned(), like.span().start))
        });
        let Some((like, at)) = like else { break };
        let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        match texts.get_key_value(&like) {
            Some((like, _)) if !layers.contains(&like.as_str()) => layers.push(like),
            Some(_) => {
                problems.about_line(path, line, format_args!("like: \"{like}\" is like this one"));
                return None;
            }
            None => {
                let hint = hint(&like, texts.keys().map(String::as_str));
                problems.about_line(path, line, format_args!("like: unknown profile \"{like}\"{hint}"));
                return None;
            }
        }
    }
    Some(layers)
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
        let files = Profile::read_all(Some(&directory), None, &problems);
        let files = problems.finish(Some(files)).unwrap();
        let builtin = Profile::builtin().unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), builtin.keys().collect::<Vec<_>>());
        assert!(builtin.iter().all(|(name, profile)| *name == profile.name));
    }
}
