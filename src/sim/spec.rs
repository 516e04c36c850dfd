//! What a simulated switch is and promises.

use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use yang5::context::Context;
use yang5::schema::SchemaModule;

use super::gnmi::GnmiSpec;
use super::{FaultSpec, NativeSpec};

/// Everything needed to start a switch.
#[derive(Clone, Debug)]
pub struct SwitchSpec {
    pub name: String,
    pub personality: Personality,
    pub quirks: Quirks,
    /// Interfaces it starts with: ethernetCsmacd, enabled.
    pub ports: Vec<String>,
    /// The VLAN table of its network instance `default`.
    pub vlans: Vec<u16>,
    /// More of its first configuration: XML, the top-level nodes side by side.
    pub startup_xml: Option<String>,
    /// Added to every rpc. Timers tick in milliseconds: less than one becomes one.
    pub latency: Duration,
    pub faults: Vec<FaultSpec>,
    pub username: String,
    /// Also asked for in keyboard-interactive.
    pub password: Option<SecretString>,
    /// An OpenSSH public key that may log in.
    pub authorized_key: Option<String>,
    /// The private host key in OpenSSH's format; without it a new one is made.
    pub host_key: Option<SecretString>,
    /// It is a gNMI target too, over the same datastores.
    pub gnmi: Option<GnmiSpec>,
    /// Over NETCONF it has a vendor's own model, and no OpenConfig. It needs a candidate.
    pub native: Option<NativeSpec>,
}

impl Default for SwitchSpec {
    /// Nobody can log in over SSH until a password or a key is given.
    fn default() -> Self {
        Self {
            name: "switch".to_owned(),
            personality: Personality::CandidatePersist,
            quirks: Quirks::default(),
            ports: Vec::new(),
            vlans: Vec::new(),
            startup_xml: None,
            latency: Duration::ZERO,
            faults: Vec::new(),
            username: "admin".to_owned(),
            password: None,
            authorized_key: None,
            host_key: None,
            gnmi: None,
            native: None,
        }
    }
}

/// What a switch promises in its hello, and keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Personality {
    /// Candidate, confirmed-commit:1.0 and 1.1.
    CandidatePersist,
    /// Candidate, confirmed-commit:1.0: the end of the session undoes the commit.
    CandidateSession,
    /// Candidate, no confirmed commit.
    CandidatePlain,
    /// Candidate, confirmed-commit:1.0 as Junos keeps it: the timer outlives the session and any
    /// later commit confirms.
    AnyCommit,
    /// writable-running and rollback-on-error, no candidate.
    Running,
    /// The same with a startup datastore.
    RunningStartup,
}

/// Who can confirm a commit with a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confirm {
    None,
    SessionBound,
    AnyCommit,
    Persist,
}

/// Habits that are no promise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// No rollback-on-error: what an edit, or a Set, did before its first error stays.
    pub partial: bool,
    /// Drops a node whose `when` is false instead of refusing it.
    pub prune_when: bool,
    /// Does not undo a timed commit, by cancel or by timer, while any session holds running's lock,
    /// and reports success all the same.
    pub undo_needs_unlock: bool,
    /// How long it takes to put back what a timer takes back; meanwhile nothing is pending any more.
    pub slow_revert: Duration,
    /// Offers base:1.0 only, so messages end with `]]>]]>`.
    pub base_1_0: bool,
    /// Refuses every edit that brings this VLAN.
    pub refuse: Option<u16>,
    /// Does not say where in an edit the error is.
    pub no_error_path: bool,
    /// Accepts edits of the leaves of this name and does not carry them out.
    pub ignore: Option<String>,
    /// Ports that report no link, whatever their configuration says.
    pub no_link: Vec<String>,
    /// What every port with a link has received so far, and sent, in octets.
    pub octets: u64,
    /// Modules that it has and does not list, in its hello.
    pub unlisted: Vec<String>,
}

impl Personality {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::CandidatePersist,
        Self::CandidateSession,
        Self::CandidatePlain,
        Self::AnyCommit,
        Self::Running,
        Self::RunningStartup,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::CandidatePersist => "candidate-persist",
            Self::CandidateSession => "candidate-session",
            Self::CandidatePlain => "candidate-plain",
            Self::AnyCommit => "any-commit",
            Self::Running => "running",
            Self::RunningStartup => "running-startup",
        }
    }

    pub(super) fn has_candidate(self) -> bool {
        !matches!(self, Self::Running | Self::RunningStartup)
    }

    pub(super) fn has_startup(self) -> bool {
        self == Self::RunningStartup
    }

    pub(super) fn confirm(self) -> Confirm {
        match self {
            Self::CandidatePersist => Confirm::Persist,
            Self::CandidateSession => Confirm::SessionBound,
            Self::AnyCommit => Confirm::AnyCommit,
            Self::CandidatePlain | Self::Running | Self::RunningStartup => Confirm::None,
        }
    }
}

impl FromStr for Personality {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|personality| personality.name() == text).ok_or_else(|| {
            format!("`{text}` is no personality: take one of {}", Self::ALL.map(Self::name).join(", "))
        })
    }
}

impl SwitchSpec {
    /// Whether its hello says that it has this module.
    fn lists(&self, module: &SchemaModule) -> bool {
        self.native.is_none()
            && module.is_implemented()
            && !self.quirks.unlisted.iter().any(|name| name == module.name())
    }

    /// The capabilities of its hello (RFC 6241 8, RFC 6020 5.6.4).
    pub(super) fn capabilities(&self, context: &Context) -> Vec<String> {
        let mut short = vec!["base:1.0"];
        if !self.quirks.base_1_0 {
            short.push("base:1.1");
        }
        if self.personality.has_candidate() {
            short.extend(["capability:candidate:1.0", "capability:validate:1.0", "capability:validate:1.1"]);
        } else {
            short.push("capability:writable-running:1.0");
        }
        if !self.quirks.partial {
            short.push("capability:rollback-on-error:1.0");
        }
        match self.personality.confirm() {
            Confirm::None => {}
            Confirm::SessionBound | Confirm::AnyCommit => short.push("capability:confirmed-commit:1.0"),
            Confirm::Persist => {
                short.extend(["capability:confirmed-commit:1.0", "capability:confirmed-commit:1.1"]);
            }
        }
        if self.personality.has_startup() {
            short.push("capability:startup:1.0");
        }
        let modules = context.modules(true).filter(|module| self.lists(module)).map(|module| {
            let revision = module.revision().map(|date| format!("&revision={date}")).unwrap_or_default();
            format!("{}?module={}{revision}", module.namespace(), module.name())
        });
        short.iter().map(|name| format!("urn:ietf:params:netconf:{name}")).chain(modules).collect()
    }
}
