//! How a system is spoken to: its transports, and in which words each carries what a device is told.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::device::{CliHabits, Language, NotRead};

/// How a device's commit can be undone by a timer of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Timed {
    /// It cannot.
    None,
    /// confirmed-commit:1.0 (RFC 4741 8.4): the session that committed must stay open and confirm.
    SessionBound,
    /// As Junos does 1.0: the timer outlives the session and any later commit confirms.
    AnyCommit,
    /// confirmed-commit:1.1 with persist (RFC 6241 8.4): whoever knows the id confirms or cancels.
    Persist,
}

/// How this system is configured.
#[derive(Clone, Debug)]
pub enum Speaks {
    Netconf(NetconfHabits),
    Gnmi(Arc<GnmiHabits>),
    Cli(Arc<CliHabits>),
}

impl Speaks {
    /// The transport's name, as the key of a profile says it.
    pub fn transport(&self) -> &'static str {
        match self {
            Self::Netconf(_) => "netconf",
            Self::Gnmi(_) => "gnmi",
            Self::Cli(_) => "cli",
        }
    }

    /// Modules without which it cannot be told what we have to say; empty: it needs none, or none that
    /// are known.
    pub fn modules(&self) -> &'static [&'static str] {
        match self.language() {
            None => &["openconfig-interfaces", "openconfig-vlan"],
            Some(_) => &[],
        }
    }

    /// The profile's own language that the device is told things in; none: OpenConfig.
    pub fn language(&self) -> Option<&Arc<Language>> {
        match self {
            Self::Netconf(habits) => habits.model.language(),
            Self::Gnmi(habits) => habits.model.language(),
            Self::Cli(habits) => Some(&habits.language),
        }
    }

    /// Nothing can be read back; none: it can.
    pub fn not_read(&self) -> Option<&NotRead> {
        match self {
            Self::Cli(habits) => habits.not_read.as_ref(),
            Self::Netconf(_) | Self::Gnmi(_) => None,
        }
    }

    /// Whether edits are in a vendor's own model whose modules nobody gave.
    pub fn checks_form_only(&self) -> bool {
        let model = match self {
            Self::Netconf(habits) => &habits.model,
            Self::Gnmi(habits) => &habits.model,
            Self::Cli(_) => return false,
        };
        matches!(model, Model::Native(language) if language.modules.is_none())
    }
}

/// In which words a protocol that could carry any carries what a device is told.
#[derive(Clone, Debug, Default)]
pub enum Model {
    /// OpenConfig, which needs no templates.
    #[default]
    OpenConfig,
    /// The vendor's own: templates write edits of it (RFC 8072's operations).
    Native(Arc<Language>),
    /// Lines of the system's command line.
    Lines(Arc<Language>),
}

impl Model {
    /// The language that the profile says; none: OpenConfig.
    pub fn language(&self) -> Option<&Arc<Language>> {
        match self {
            Self::OpenConfig => None,
            Self::Native(language) | Self::Lines(language) => Some(language),
        }
    }
}

/// How this system uses the OpenConfig model.
#[derive(Clone, Debug)]
pub struct OpenConfigHabits {
    /// The network instance whose VLAN table carries the switch's VLANs; none: it has no table.
    pub network_instance: Option<String>,
    /// `config/type` (an identity with its module) for an interface that has to be created.
    pub interface_type: String,
    /// Whether an interface that is not in running may be created; else it is not there.
    pub creates_interfaces: bool,
    /// Whether a trunk's native VLAN must also be in `trunk-vlans`.
    pub native_in_trunk_vlans: bool,
    /// Whether it has the model of the spanning tree; of a language of its own its lines tell.
    pub spanning_tree: bool,
}

/// How this system speaks NETCONF.
#[derive(Clone, Debug)]
pub struct NetconfHabits {
    /// The strongest kind of confirm it may be trusted with; what its hello offers can only lower it.
    /// `None` here means: believe the hello.
    pub confirm: Option<Timed>,
    /// The unit in which it counts the confirm timer.
    pub timer_granularity: Duration,
    /// In which words; never lines of a command line.
    pub model: Model,
}

/// How this system speaks gNMI.
#[derive(Clone, Debug)]
pub struct GnmiHabits {
    pub encoding: GnmiEncoding,
    /// The paths' origin (specification 2.2.2.1); empty: none is said, which means OpenConfig.
    pub origin: String,
    /// Whether the origin stands in the prefix and not in each path.
    pub origin_in_prefix: bool,
    /// The prefix' target; empty: none.
    pub target: String,
    /// Where the key of an entry that is created stands.
    pub key_leaf: KeyLeaf,
    /// Whether names in paths say their module where it changes, as in RFC 7951.
    pub module_names: bool,
    /// Whether a Get asks for all data, since it may not ask for the configuration alone.
    pub get_all: bool,
    /// Whether what a Set changes survives a reboot; gNMI has no word for saving.
    pub keeps: bool,
    /// Whether the commit extension is looked for.
    pub commit_confirmed: bool,
    /// The unit in which it counts the commit's timer.
    pub timer_granularity: Duration,
    /// How long a commit waits for its confirm before it is lengthened; none: as long as the call has.
    pub commit_timer: Option<Duration>,
    /// In which words.
    pub model: Model,
}

impl GnmiHabits {
    /// The origin that each path says; empty: none does.
    pub fn origin_of_paths(&self) -> &str {
        if self.origin_in_prefix { "" } else { &self.origin }
    }
}

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GnmiEncoding {
    /// RFC 7951.
    JsonIetf,
    /// Names do not say their module.
    Json,
}

impl GnmiEncoding {
    /// As the specification spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JsonIetf => "JSON_IETF",
            Self::Json => "JSON",
        }
    }
}

/// Where the key of a list's new entry stands: some need it in the body, some refuse it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyLeaf {
    /// In the entry, in the body of the container above the list.
    Parent,
    /// In the path of the entry and in its body.
    Entry,
    /// In the path of the entry alone.
    Path,
}

/// How connections to this system are kept.
#[derive(Clone, Debug, Default)]
pub struct SshHabits {
    /// How long a session is kept open with nothing to do. Zero closes at once.
    pub idle_limit: Duration,
    /// How often to ask an idle peer whether it is there; none: never.
    pub keepalive: Option<Duration>,
    /// The most sessions that may be open at a time, unless the device says so itself; none: no limit.
    pub sessions: Option<usize>,
    /// Names of algorithms to offer besides the modern ones, for old switches.
    pub algorithms: Vec<String>,
    /// Whether to ask first to be let in without a credential (RFC 4252 5.2): the system's terminal asks
    /// for it.
    pub none_first: bool,
}
