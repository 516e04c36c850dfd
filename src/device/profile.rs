//! Reading a profile: what is known about an operating system, as data.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::algorithms::known_algorithm;
use crate::config::reader::{Item, Table};
use crate::device::Timed;
use crate::device::cli::ShellHabits;
use crate::device::language::{TemplateSources, XmlShape};
use crate::device::{
    CliHabits, GnmiEncoding, GnmiHabits, KeyLeaf, Language, Model, NetconfHabits, OpenConfigHabits,
    PortRename, Profile, Speaks, SshHabits, Way, WordError,
};
use crate::schema::Schema;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

impl Profile {
    pub(super) fn read(name: &str, table: &Table, templates: &TemplateSources) -> Option<Self> {
        // What it says was followed already.
        table.get("like");
        let description = table.required("description").and_then(|item| item.filled_text());
        let aliases = aliases(table);
        let port_names = port_names(table);
        let ignore_case = table.get("port_names_ignore_case").and_then(|item| item.boolean());
        let openconfig = table.required_table("openconfig", OpenConfigHabits::read);
        let models = Models { table, templates };
        let ways = transports(table)?.into_iter().map(|name| models.way(name));
        let mut ways = ways.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()?;
        let others = ways.split_off(1);
        let Way { speaks, ssh } = ways.pop()?;
        Some(Self {
            name: name.to_owned(),
            description: description?,
            aliases,
            port_names,
            port_names_ignore_case: ignore_case.unwrap_or_default(),
            openconfig: openconfig?,
            ssh,
            speaks,
            others,
        })
    }
}

/// The transports that it has, in the order of `transports`, which need not be there for a single one.
/// Never empty.
fn transports(table: &Table) -> Option<Vec<&'static str>> {
    let known = ["netconf", "gnmi", "cli"];
    // Of a command line whose lines gNMI carries the rest may be of no use.
    let entries = table.entries("gnmi");
    let carries_cli = entries.iter().any(|(key, item)| key == "model" && item.text() == Some("cli"));
    let written = table.those_among(&known).into_iter().map(|item| item.name);
    let written: Vec<_> = written.filter(|name| !(*name == "cli" && carries_cli)).collect();
    let named = table.get("transports");
    let Some(item) = named else {
        if written.len() > 1 {
            let tables: Vec<_> = written.iter().map(|name| format!("[{name}]")).collect();
            table.refuse(
                "transports",
                format_args!("missing; it says which of {} is tried first", tables.join(", ")),
            );
            return None;
        }
        return Some(match written.first() {
            Some(name) => vec![*name],
            None => vec![table.one_among(&known)?.name],
        });
    };
    let names = item.list(|name| {
        let name = name.choice(&known.map(|name| (name, name)))?;
        table.required(name).is_some().then_some(name)
    })?;
    let is_twice = names.iter().enumerate().any(|(n, name)| names[..n].contains(name));
    let left_out = written.iter().find(|name| !names.contains(name));
    match left_out {
        _ if is_twice => item.refuse("one of them stands there twice"),
        Some(name) => item.refuse(format_args!("[{name}] is there, and it is not in the list")),
        None if names.is_empty() => item.refuse("it names no transport"),
        None => return Some(names),
    }
    None
}

/// Where the languages of a profile stand.
struct Models<'p, 't> {
    table: &'p Table<'t>,
    templates: &'p TemplateSources,
}

impl Models<'_, '_> {
    /// One transport, with the words that it carries.
    fn way(&self, name: &'static str) -> Option<Way> {
        let (ssh, speaks) = match name {
            "netconf" => self.table.table(name, |table| {
                let (ssh, habits) = (SshHabits::read(table), NetconfHabits::read(table, self));
                Some((ssh?, Speaks::Netconf(habits?)))
            }),
            "gnmi" => self.table.table(name, |table| {
                let (kept, habits) = (SshHabits::read_kept(table), GnmiHabits::read(table, self));
                Some((kept?, Speaks::Gnmi(Arc::new(habits?))))
            }),
            _ => self.cli().map(|(ssh, habits)| (ssh, Speaks::Cli(Arc::new(habits)))),
        }?;
        Some(Way { speaks, ssh })
    }

    /// The one that a carrier's `model` names: of these the last is no word over NETCONF.
    fn named(&self, carrier: &Table, is_xml: bool) -> Option<Model> {
        let known = [("openconfig", Named::OpenConfig), ("native", Named::Native), ("cli", Named::Cli)];
        let known = if is_xml { &known[..2] } else { &known[..] };
        let named = carrier.get("model").map(|item| item.choice(known));
        match named.unwrap_or(Some(Named::OpenConfig))? {
            Named::OpenConfig => Some(Model::OpenConfig),
            Named::Native => {
                let native = |table: &Table| {
                    let modules = table.get("yang").map(|item| {
                        let directory = item.directory()?;
                        item.of(Schema::from_dir(&directory))
                    });
                    let xml = if is_xml { XmlShape::read(table) } else { Some(XmlShape::default()) };
                    let language = Language::read(table, self.templates)?;
                    let modules = modules.map_or(Some(None), |read| read.map(Some))?;
                    Some(Language { modules, xml: xml?, ..language })
                };
                self.table.required_table("model", native).map(Arc::new).map(Model::Native)
            }
            Named::Cli if self.table.required("cli").is_some() => {
                self.cli().map(|(_, habits)| Model::Lines(habits.language))
            }
            Named::Cli => None,
        }
    }

    fn cli(&self) -> Option<(SshHabits, CliHabits)> {
        self.table.table("cli", |table| {
            let ssh = SshHabits::read(table);
            let habits = CliHabits::read(table, self.templates)?;
            let none_first = match &habits.shell {
                ShellHabits::Terminal(terminal) => terminal.login.is_some(),
                ShellHabits::Exec => false,
            };
            Some((SshHabits { none_first, ..ssh? }, habits))
        })
    }
}

/// What a carrier's `model` may name: `[model]`, or the lines of `[cli]`.
#[derive(Clone, Copy)]
enum Named {
    OpenConfig,
    Native,
    Cli,
}

/// What other inventories call it.
pub(super) fn aliases(table: &Table) -> BTreeSet<String> {
    let aliases = table.get("aliases").and_then(|item| item.list(Item::filled_text));
    aliases.into_iter().flatten().collect()
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
        let spanning_tree = table.get("spanning_tree").and_then(|item| item.boolean());
        Some(Self {
            network_instance,
            interface_type: interface_type?,
            creates_interfaces: creates_interfaces.unwrap_or(true),
            native_in_trunk_vlans: native_in_trunk_vlans?,
            spanning_tree: spanning_tree.unwrap_or_default(),
        })
    }
}

impl NetconfHabits {
    fn read(table: &Table, models: &Models) -> Option<Self> {
        let model = models.named(table, true);
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
        Some(Self { confirm: confirm?, timer_granularity: timer_granularity?, model: model? })
    }
}

impl GnmiHabits {
    fn read(table: &Table, models: &Models) -> Option<Self> {
        let model = models.named(table, false);
        let encoding = table
            .get("encoding")
            .map(|item| item.choice(&[("json-ietf", GnmiEncoding::JsonIetf), ("json", GnmiEncoding::Json)]));
        let key_leaf = table.get("key_leaf").map(|item| {
            item.choice(&[("parent", KeyLeaf::Parent), ("entry", KeyLeaf::Entry), ("path", KeyLeaf::Path)])
        });
        let text = |key| table.get(key).and_then(|item| item.filled_text()).unwrap_or_default();
        let truth = |key| table.get(key).and_then(|item| item.boolean());
        let timer_granularity =
            table.get("timer_granularity").map(|item| item.duration(SECOND..=SECOND * 60));
        let commit_timer =
            table.get("commit_timer").and_then(|item| item.duration(SECOND * 5..=SECOND * 600));
        Some(Self {
            encoding: encoding.unwrap_or(Some(GnmiEncoding::JsonIetf))?,
            origin: text("origin"),
            origin_in_prefix: truth("origin_in_prefix").unwrap_or_default(),
            target: text("target"),
            key_leaf: key_leaf.unwrap_or(Some(KeyLeaf::Parent))?,
            module_names: truth("module_names").unwrap_or_default(),
            get_all: truth("get_all").unwrap_or_default(),
            keeps: truth("keeps").unwrap_or_default(),
            commit_confirmed: truth("commit_confirmed").unwrap_or(true),
            timer_granularity: timer_granularity.unwrap_or(Some(SECOND))?,
            commit_timer,
            model: model?,
        })
    }
}

impl SshHabits {
    fn read(table: &Table) -> Option<Self> {
        let algorithms = table.get("ssh_algorithms").and_then(|item| item.list(|item| item.read(algorithm)));
        Some(Self { algorithms: algorithms.unwrap_or_default(), ..Self::read_kept(table)? })
    }

    /// What is the same whatever the connection is.
    fn read_kept(table: &Table) -> Option<Self> {
        let idle_limit = table.required("idle_limit").and_then(|item| item.duration(Duration::ZERO..=HOUR));
        let keepalive = table.get("keepalive").and_then(|item| item.duration(SECOND..=HOUR));
        let sessions = table.get("sessions").and_then(|item| item.integer(1..=64));
        let sessions = sessions.and_then(|most| usize::try_from(most).ok());
        Some(Self { idle_limit: idle_limit?, keepalive, sessions, algorithms: Vec::new(), none_first: false })
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
