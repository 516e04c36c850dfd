//! What a switch promises, and by which protocol it is told what to do.

use mercury::sim::gnmi::{CommitExtension, GnmiQuirks, GnmiSpec};
use mercury::sim::{Personality, SwitchSpec};
use mercury::transaction::outcome::Phase;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    CandidatePersist,
    CandidateSession,
    CandidatePlain,
    AnyCommit,
    Running,
    RunningStartup,
    /// By gNMI, with the commit extension.
    Gnmi,
    /// By gNMI, without it.
    GnmiPlain,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::CandidatePersist,
        Self::CandidateSession,
        Self::CandidatePlain,
        Self::AnyCommit,
        Self::Running,
        Self::RunningStartup,
        Self::Gnmi,
        Self::GnmiPlain,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Gnmi => "gnmi",
            Self::GnmiPlain => "gnmi-plain",
            _ => self.personality().name(),
        }
    }

    /// What it is to those who speak NETCONF to it.
    fn personality(self) -> Personality {
        match self {
            Self::CandidatePersist => Personality::CandidatePersist,
            Self::CandidateSession => Personality::CandidateSession,
            Self::CandidatePlain => Personality::CandidatePlain,
            Self::AnyCommit => Personality::AnyCommit,
            Self::Running | Self::Gnmi | Self::GnmiPlain => Personality::Running,
            Self::RunningStartup => Personality::RunningStartup,
        }
    }

    pub fn spec(self, name: &str) -> SwitchSpec {
        let commit = match self {
            Self::GnmiPlain => CommitExtension::Unimplemented,
            _ => CommitExtension::Supported,
        };
        let quirks = GnmiQuirks { commit, ..GnmiQuirks::default() };
        SwitchSpec {
            name: name.to_owned(),
            personality: self.personality(),
            ports: (1..=4).map(|n| format!("eth{n}")).collect(),
            vlans: (100..=110).collect(),
            password: Some("secret".into()),
            gnmi: self.is_gnmi().then(|| GnmiSpec { quirks, ..GnmiSpec::default() }),
            ..SwitchSpec::default()
        }
    }

    pub fn is_gnmi(self) -> bool {
        matches!(self, Self::Gnmi | Self::GnmiPlain)
    }

    /// Whether others put their edits into a candidate, by NETCONF.
    pub fn has_candidate(self) -> bool {
        !matches!(self.personality(), Personality::Running | Personality::RunningStartup)
    }

    pub fn is_timed(self) -> bool {
        matches!(self, Self::CandidatePersist | Self::CandidateSession | Self::AnyCommit | Self::Gnmi)
    }

    /// The datastores that a session of ours locks.
    pub fn locked(self) -> &'static [&'static str] {
        match self {
            Self::RunningStartup => &["running", "startup"],
            Self::Running => &["running"],
            Self::Gnmi | Self::GnmiPlain => &[],
            // Running changes by commits only, and the candidate's lock keeps those of others out.
            Self::CandidatePersist | Self::CandidateSession | Self::CandidatePlain | Self::AnyCommit => {
                &["candidate"]
            }
        }
    }

    /// The message that opens a session.
    pub fn hello(self) -> &'static str {
        if self.is_gnmi() { "gnmi-capabilities" } else { "hello" }
    }

    /// The one that a change begins with.
    pub fn begin(self) -> &'static str {
        if self.is_gnmi() { self.read() } else { "lock" }
    }

    /// The one that reads running.
    pub fn read(self) -> &'static str {
        if self.is_gnmi() { "gnmi-get" } else { "get-config" }
    }

    /// The one that the change goes out with.
    pub fn stage(self) -> &'static str {
        if self.is_gnmi() { self.commit() } else { "edit-config" }
    }

    /// The one that makes a change run.
    pub fn commit(self) -> &'static str {
        match self {
            Self::CandidatePersist | Self::CandidateSession | Self::AnyCommit => "confirmed-commit",
            Self::CandidatePlain => "commit",
            Self::Running | Self::RunningStartup => "edit-config",
            Self::Gnmi => "gnmi-commit",
            Self::GnmiPlain => "gnmi-set",
        }
    }

    /// The one that makes a timed commit stay.
    pub fn confirm(self) -> &'static str {
        if self.is_gnmi() { "gnmi-confirm" } else { "confirm" }
    }

    /// The one that takes a timed commit back.
    pub fn cancel(self) -> &'static str {
        if self.is_gnmi() { "gnmi-cancel" } else { "cancel-commit" }
    }

    /// The one that ends the change: what comes after it cannot fail it.
    pub fn last(self) -> &'static str {
        match self {
            Self::RunningStartup => "copy-config",
            _ if self.is_timed() => self.confirm(),
            _ => self.read(),
        }
    }

    /// What an undo begins with once nothing is pending, and the how-manieth of its name it is.
    pub fn undo(self) -> (&'static str, u32) {
        let locks = self.locked().len() as u32;
        if self.is_gnmi() { (self.read(), 3) } else { (self.begin(), locks + 1) }
    }

    /// The messages of one attach in order: the how-manieth of its name each is, and its phase.
    pub fn steps(self) -> Vec<(&'static str, u32, Phase)> {
        let steps: &[_] = match self {
            Self::CandidatePersist | Self::CandidateSession | Self::AnyCommit => &[
                ("lock", 1, Phase::Lock),
                ("get-config", 1, Phase::Lock),
                ("edit-config", 1, Phase::Stage),
                ("confirmed-commit", 1, Phase::Commit),
                ("get-config", 2, Phase::Verify),
                ("confirm", 1, Phase::Confirm),
                ("unlock", 1, Phase::Unlock),
            ],
            Self::CandidatePlain => &[
                ("lock", 1, Phase::Lock),
                ("get-config", 1, Phase::Lock),
                ("edit-config", 1, Phase::Stage),
                ("commit", 1, Phase::Commit),
                ("get-config", 2, Phase::Verify),
                ("unlock", 1, Phase::Unlock),
            ],
            Self::Running => &[
                ("lock", 1, Phase::Lock),
                ("get-config", 1, Phase::Lock),
                ("edit-config", 1, Phase::Commit),
                ("get-config", 2, Phase::Verify),
                ("unlock", 1, Phase::Unlock),
            ],
            Self::RunningStartup => &[
                ("lock", 1, Phase::Lock),
                ("get-config", 1, Phase::Lock),
                ("edit-config", 1, Phase::Commit),
                ("get-config", 2, Phase::Verify),
                ("copy-config", 1, Phase::Save),
                ("unlock", 1, Phase::Unlock),
            ],
            Self::Gnmi => &[
                ("gnmi-capabilities", 1, Phase::Connect),
                ("gnmi-cancel", 1, Phase::Connect),
                ("gnmi-get", 1, Phase::Lock),
                ("gnmi-commit", 1, Phase::Commit),
                ("gnmi-get", 2, Phase::Verify),
                ("gnmi-confirm", 1, Phase::Confirm),
            ],
            Self::GnmiPlain => &[
                ("gnmi-capabilities", 1, Phase::Connect),
                ("gnmi-cancel", 1, Phase::Connect),
                ("gnmi-get", 1, Phase::Lock),
                ("gnmi-set", 1, Phase::Commit),
                ("gnmi-get", 2, Phase::Verify),
            ],
        };
        steps.to_vec()
    }
}
