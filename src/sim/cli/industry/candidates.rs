//! Configuration sessions, as EOS has them: a copy of running under a name, which a commit puts in
//! running's place, with a timer if asked for.

use std::collections::BTreeMap;

use similar::TextDiff;
use tokio::time::Instant;

use super::{Industry, Mode};
use crate::sim::cli::sections::Config;
use crate::sim::cli::system::fill;

/// How many there may be.
const MOST: usize = 5;

/// A session that is committed until a timer runs out.
pub(super) struct Pending {
    pub candidate: String,
    pub before: Config,
    pub deadline: Instant,
}

impl Industry {
    /// Enters a configuration session, which is made if it is not there.
    pub(super) fn session(&mut self, session: u32, name: Option<String>) -> String {
        let free = || (1..).map(|n| format!("sess-{n}")).find(|name| !self.candidates.contains_key(name));
        let Some(name) = name.or_else(free) else { return String::new() };
        if !self.candidates.contains_key(&name) {
            if self.candidates.len() >= MOST {
                return self.says("too-many-sessions");
            }
            self.candidates.insert(name.clone(), self.running.clone());
        }
        self.set_mode(session, Mode::Config { candidate: Some(name), within: None });
        String::new()
    }

    /// The session that is named, or entered.
    fn meant(&self, session: u32, name: Option<String>) -> Option<String> {
        match self.mode(session) {
            _ if name.is_some() => name,
            Mode::Config { candidate, .. } => candidate,
            _ => None,
        }
    }

    pub(super) fn commit(&mut self, session: u32, name: Option<String>, until: Option<Instant>) -> String {
        let Some(name) = self.meant(session, name) else { return self.says("no-session") };
        let values = |name: &str| BTreeMap::from([("session".to_owned(), name.to_owned())]);
        if let Some(pending) = &mut self.pending {
            if pending.candidate != name {
                let other = values(&pending.candidate);
                return fill(self.system.says("other-pending"), &other);
            }
            match until {
                Some(until) => pending.deadline = until,
                None => self.pending = None,
            }
            return String::new();
        }
        self.leave_section(session);
        let Some(candidate) = self.candidates.remove(&name) else {
            return fill(self.system.says("no-session"), &values(&name));
        };
        let before = std::mem::replace(&mut self.running, candidate);
        self.pending = until.map(|deadline| Pending { candidate: name, before, deadline });
        self.leave(session);
        String::new()
    }

    pub(super) fn abort(&mut self, session: u32, name: Option<String>) -> String {
        let Some(name) = self.meant(session, name) else { return self.says("no-session") };
        self.leave(session);
        if let Some(pending) = self.pending.take_if(|pending| pending.candidate == name) {
            self.running = pending.before;
            return String::new();
        }
        match self.candidates.remove(&name) {
            Some(_) => String::new(),
            None => fill(self.system.says("no-session"), &[("session".to_owned(), name)].into()),
        }
    }

    fn leave_section(&mut self, session: u32) {
        if let Mode::Config { candidate, .. } = self.mode(session) {
            self.set_mode(session, Mode::Config { candidate, within: None });
        }
    }

    fn leave(&mut self, session: u32) {
        if matches!(self.mode(session), Mode::Config { .. }) {
            self.set_mode(session, Mode::Enable);
        }
    }

    /// What a commit would change, as `diff -u` writes it.
    pub(super) fn diffs(&self, session: u32) -> String {
        let Mode::Config { candidate: Some(name), .. } = self.mode(session) else { return String::new() };
        let Some(candidate) = self.candidates.get(&name) else { return String::new() };
        let (old, new) = (self.text(&self.running), self.text(candidate));
        let diff = TextDiff::from_lines(&old, &new);
        let header = format!("session:/{name}-session-config");
        diff.unified_diff().header("system:/running-config", &header).to_string()
    }

    pub(super) fn sessions_table(&self) -> String {
        let mut table =
            "Maximum number of completed sessions: 1\nMaximum number of pending sessions: 5\n\n".to_owned();
        table += "  Name             State                  User       Terminal\n";
        table += "  ---------------- ---------------------- ---------- --------\n";
        let pending = self.pending.iter().map(|pending| (&pending.candidate, "pendingCommitTimer"));
        for (name, state) in self.candidates.keys().map(|name| (name, "pending")).chain(pending) {
            table += &format!("  {name:16} {state:22}\n");
        }
        table
    }
}
