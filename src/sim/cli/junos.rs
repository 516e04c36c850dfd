//! Command lines in the manner of Junos: an operational mode, and candidates of statements that come
//! into force at a commit.

mod os;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::os::{Os as _, Reply};
use super::statements::{Config, Grammar, NoStatement, Statement, braces, set_text, words};
use super::system::{System, fill};
use super::{CliSpec, scaled};

/// Minutes of a confirmed commit that does not say.
const MINUTES: u64 = 10;

pub(super) struct Junos {
    system: Arc<System>,
    grammar: Grammar,
    user: String,
    timer_scale: u32,
    /// What was committed, the latest first.
    active: Vec<Config>,
    /// The candidate of all who do not ask for their own.
    shared: Config,
    pending: Option<Pending>,
    sessions: BTreeMap<u32, Session>,
    last: u32,
    ports: Vec<String>,
    /// Those that nothing is plugged into.
    no_link: Vec<String>,
}

/// A commit that is undone unless it is confirmed.
struct Pending {
    before: Config,
    deadline: Instant,
    minutes: u64,
}

struct Session {
    mode: Mode,
    is_asked: bool,
    rows: usize,
    columns: usize,
}

#[derive(Clone, PartialEq, Eq)]
enum Mode {
    Operational,
    Shared,
    Exclusive,
    Private { base: Config, candidate: Config },
}

impl Junos {
    pub fn new(system: Arc<System>, spec: &CliSpec) -> Self {
        let mut device = Self {
            grammar: Grammar::new(&system.statements, &system.lists),
            user: spec.username.clone(),
            timer_scale: spec.timer_scale,
            active: vec![Config::new()],
            shared: Config::new(),
            pending: None,
            sessions: BTreeMap::new(),
            no_link: spec.no_link.clone(),
            ports: if spec.ports.is_empty() { system.ports.clone() } else { spec.ports.clone() },
            last: 0,
            system,
        };
        let hostname = spec.hostname.as_ref().unwrap_or(&device.system.hostname);
        let first =
            std::iter::once(format!("set system host-name {hostname}")).chain(device.system.first.clone());
        let lines: Vec<String> = first.chain(spec.config.lines().map(str::to_owned)).collect();
        let session = device.open();
        device.with(session, |session| session.mode = Mode::Shared);
        for line in lines.iter().map(String::as_str).chain(["commit"]) {
            device.enter(session, line, Instant::now());
        }
        device.close(session);
        device
    }

    fn with(&mut self, session: u32, change: impl FnOnce(&mut Session)) {
        if let Some(session) = self.sessions.get_mut(&session) {
            change(session);
        }
    }

    fn mode(&self, session: u32) -> Mode {
        self.sessions.get(&session).map_or(Mode::Operational, |session| session.mode.clone())
    }

    fn candidate(&self, session: u32) -> &Config {
        match self.sessions.get(&session).map(|session| &session.mode) {
            Some(Mode::Private { candidate, .. }) => candidate,
            _ => &self.shared,
        }
    }

    fn candidate_mut(&mut self, session: u32) -> &mut Config {
        match self.sessions.get_mut(&session).map(|session| &mut session.mode) {
            Some(Mode::Private { candidate, .. }) => candidate,
            _ => &mut self.shared,
        }
    }

    fn active(&self) -> &Config {
        // There is always one.
        &self.active[0]
    }

    /// Whether its ports are up (Junos CLI reference, "show interfaces terse").
    fn terse(&self, of: Option<&str>) -> String {
        let is_disabled = |port: &str| {
            let disabled = format!("set interfaces {port} disable");
            set_text(self.active(), &[]).lines().any(|line| line == disabled)
        };
        let line = |port: &String| {
            let admin = if is_disabled(port) { "down" } else { "up" };
            let link = if self.no_link.contains(port) { "down" } else { admin };
            format!("{port:<24}{admin:<6}{link}\n")
        };
        let shown: String =
            self.ports.iter().filter(|port| of.is_none_or(|of| of == *port)).map(line).collect();
        match (of, shown.is_empty()) {
            (Some(port), true) => format!("error: device {port} not found\n"),
            _ => format!("Interface               Admin Link Proto    Local                 Remote\n{shown}"),
        }
    }

    fn says(&self, occasion: &str) -> String {
        fill(self.system.says(occasion), &[("user".to_owned(), self.user.clone())].into())
    }

    /// Whether another session holds the shared candidate.
    fn is_locked(&self, session: u32) -> bool {
        self.sessions.iter().any(|(other, held)| *other != session && held.mode == Mode::Exclusive)
    }

    fn is_dirty(&self, session: u32) -> bool {
        match self.sessions.get(&session).map(|session| &session.mode) {
            Some(Mode::Private { base, candidate }) => base != candidate,
            _ => self.shared != *self.active(),
        }
    }

    /// Nothing fits from this word on.
    fn unknown(&self, session: u32, line: &str, word: usize, occasion: &str) -> Reply {
        let prompt = self.prompt(session);
        let prompt = prompt.rsplit('\n').next().map_or(0, str::len);
        let starts = line.split_whitespace().nth(word).and_then(|word| line.find(word)).unwrap_or(line.len());
        let caret = [("caret".to_owned(), " ".repeat(prompt + starts))].into();
        fill(self.system.says(occasion), &caret).into()
    }

    fn operational(&mut self, session: u32, line: &str, words: &[&str]) -> Reply {
        match words {
            ["configure"] | ["configure", "exclusive" | "private"] if self.is_locked(session) => {
                self.says("locked").into()
            }
            ["configure"] => self.configure(session, Mode::Shared, ""),
            ["configure", "exclusive" | "private"] if self.shared != *self.active() => {
                self.says("modified").into()
            }
            ["configure", "exclusive"] => self.configure(session, Mode::Exclusive, "discarded-on-exit"),
            ["configure", "private"] => {
                let base = self.active().clone();
                self.configure(session, Mode::Private { candidate: base.clone(), base }, "discarded-on-exit")
            }
            ["set", "cli", "screen-length", rows] if rows.parse::<usize>().is_ok() => {
                self.with(session, |session| session.rows = rows.parse().unwrap_or(0));
                format!("Screen length set to {rows}\n").into()
            }
            ["set", "cli", "screen-width", columns] if columns.parse::<usize>().is_ok() => {
                self.with(session, |session| session.columns = columns.parse().unwrap_or(0));
                format!("Screen width set to {columns}\n").into()
            }
            ["set", "cli", "complete-on-space", "off"] => "Disabling complete-on-space\n".to_owned().into(),
            ["show", "configuration", path @ ..] => {
                let path: Vec<String> = path.iter().map(|word| (*word).to_owned()).collect();
                match path.is_empty() || self.grammar.is_beginning(&path) {
                    true => braces(self.active(), &path).into(),
                    false => self.unknown(session, line, 2, "syntax"),
                }
            }
            ["show", "version"] => self.says("version").into(),
            ["show", "interfaces", "terse"] => self.terse(None).into(),
            ["show", "interfaces", port, "terse"] => self.terse(Some(port)).into(),
            ["exit" | "quit"] => Reply { text: String::new(), close: true },
            _ => self.unknown(session, line, 0, "unknown"),
        }
    }

    fn configure(&mut self, session: u32, mode: Mode, warning: &str) -> Reply {
        self.with(session, |session| session.mode = mode);
        let dirty = if self.is_dirty(session) { self.says("dirty") } else { String::new() };
        format!("{}{}{dirty}", self.says(warning), self.says("configuring")).into()
    }

    fn configuration(&mut self, session: u32, line: &str, words: &[&str], now: Instant) -> Reply {
        let changes = matches!(words, ["set" | "delete" | "rollback" | "commit", ..]);
        if changes && self.mode(session) == Mode::Shared && self.is_locked(session) {
            return self.says("locked").into();
        }
        match words {
            ["set" | "delete", ..] => self.edit(session, line),
            ["rollback"] => self.rollback(session, 0),
            ["rollback", number] => self.rollback(session, number.parse().unwrap_or(usize::MAX)),
            ["commit", "check"] => match self.check(session) {
                Ok(()) => {
                    // A check confirms, too.
                    self.pending = None;
                    self.says("checked").into()
                }
                Err(why) => why.into(),
            },
            ["commit", "confirmed"] => self.commit(session, Some(MINUTES), now),
            ["commit", "confirmed", minutes, ..]
                if minutes.parse().is_ok_and(|m: u64| (1..=65_535).contains(&m)) =>
            {
                self.commit(session, minutes.parse().ok(), now)
            }
            ["commit", "confirmed", "comment", _, ..] => self.commit(session, Some(MINUTES), now),
            ["commit"] | ["commit", "comment", _, ..] => self.commit(session, None, now),
            ["commit", "and-quit"] => {
                let reply = self.commit(session, None, now);
                if self.is_dirty(session) {
                    return reply;
                }
                self.leave(session);
                format!("{}{}", reply.text, self.says("leaving")).into()
            }
            ["exit" | "quit"] | ["exit", "configuration-mode"] if self.is_dirty(session) => {
                self.with(session, |session| session.is_asked = true);
                self.says("uncommitted").into()
            }
            ["exit" | "quit"] | ["exit", "configuration-mode"] => {
                self.leave(session);
                self.says("leaving").into()
            }
            ["top"] => Reply::default(),
            ["run", command @ ..] if !matches!(command, ["configure", ..] | ["exit" | "quit"]) => {
                self.operational(session, line.trim_start().trim_start_matches("run").trim_start(), command)
            }
            ["show", path @ ..] => {
                let path: Vec<String> = path.iter().map(|word| (*word).to_owned()).collect();
                match path.is_empty() || self.grammar.is_beginning(&path) {
                    true => braces(self.candidate(session), &path).into(),
                    false => self.unknown(session, line, 1, "syntax"),
                }
            }
            [first, ..] if ["set", "delete", "commit"].contains(first) => {
                self.unknown(session, line, 1, "syntax")
            }
            _ => self.unknown(session, line, 0, "unknown"),
        }
    }

    fn edit(&mut self, session: u32, line: &str) -> Reply {
        let Some(mut statement) = words(line) else {
            return self.unknown(session, line, usize::MAX, "syntax");
        };
        let verb = statement.remove(0);
        if verb == "delete" {
            if statement.is_empty() || !self.grammar.is_beginning(&statement) {
                return self.unknown(session, line, 1, "syntax");
            }
            let candidate = self.candidate_mut(session);
            let before = candidate.len();
            candidate.retain(|own| !own.starts_with(&statement));
            return if candidate.len() < before { Reply::default() } else { self.says("not-found").into() };
        }
        // Several values of one list (CLI User Guide, "Adding Configuration Statements").
        let bracket = statement.iter().position(|word| word == "[");
        if let (Some(at), Some("]")) = (bracket, statement.last().map(String::as_str)) {
            let values = statement[at + 1..statement.len() - 1].to_vec();
            for value in values {
                let one = [&statement[..at], &[value]].concat();
                let reply = self.set(session, line, &one);
                if !reply.text.is_empty() {
                    return reply;
                }
            }
            return Reply::default();
        }
        self.set(session, line, &statement)
    }

    fn set(&mut self, session: u32, line: &str, statement: &[String]) -> Reply {
        match self.grammar.statement(statement) {
            Ok(statement) => {
                let grammar = self.grammar.clone();
                grammar.set(self.candidate_mut(session), statement);
                Reply::default()
            }
            Err(NoStatement::Syntax(at)) => self.unknown(session, line, at + 1, "syntax"),
            Err(NoStatement::Incomplete) => self.unknown(session, line, usize::MAX, "incomplete"),
            Err(NoStatement::Range(value, from, to)) => {
                let values = [("value", value), ("from", from.to_string()), ("to", to.to_string())];
                fill(self.system.says("range"), &values.map(|(name, value)| (name.to_owned(), value)).into())
                    .into()
            }
        }
    }

    fn rollback(&mut self, session: u32, number: usize) -> Reply {
        let Some(config) = self.active.get(number).cloned() else { return self.says("no-rollback").into() };
        *self.candidate_mut(session) = config;
        self.says("loaded").into()
    }

    /// Whether the candidate could be committed.
    fn check(&self, session: u32) -> Result<(), String> {
        let candidate = self.candidate(session);
        let runs = |tree: &str| candidate.iter().any(|s| s.words().take(2).eq(["protocols", tree]));
        if let (true, Some(other)) = (runs("mstp"), ["rstp", "vstp"].into_iter().find(|tree| runs(tree))) {
            let values = [("other".to_owned(), other.to_owned())].into();
            return Err(fill(self.system.says("two-trees"), &values));
        }
        let starts = |statement: &Statement, word: &str| statement.words().next() == Some(word);
        let vlans: BTreeSet<&str> =
            candidate.iter().filter(|s| starts(s, "vlans")).filter_map(|s| s.words().nth(1)).collect();
        for statement in candidate {
            let words: Vec<&str> = statement.words().collect();
            if let [.., "members", vlan] = words[..]
                && !vlans.contains(vlan)
                && vlan != "all"
                && !vlan.starts_with(|c: char| c.is_ascii_digit())
            {
                let values = [
                    ("path".to_owned(), words[..words.len() - 2].join(" ")),
                    ("vlan".to_owned(), vlan.to_owned()),
                ];
                return Err(fill(self.system.says("check-failed"), &values.into()));
            }
        }
        Ok(())
    }

    fn commit(&mut self, session: u32, minutes: Option<u64>, now: Instant) -> Reply {
        if let Err(why) = self.check(session) {
            return why.into();
        }
        let new = match self.sessions.get_mut(&session).map(|session| &mut session.mode) {
            Some(Mode::Private { base, candidate }) => {
                // Only what this session changed.
                let mut new = self.active[0].clone();
                new.retain(|statement| candidate.contains(statement) || !base.contains(statement));
                new.extend(candidate.difference(base).cloned());
                (*base, *candidate) = (new.clone(), new.clone());
                new
            }
            _ => self.shared.clone(),
        };
        if self.shared == self.active[0] {
            self.shared = new.clone();
        }
        let before = self.active[0].clone();
        let before = self.pending.take().map_or(before, |pending| pending.before);
        self.active.insert(0, new);
        self.active.truncate(50);
        let Some(minutes) = minutes else { return self.says("committed").into() };
        let deadline = now + scaled(60 * minutes, self.timer_scale);
        self.pending = Some(Pending { before, deadline, minutes });
        let minutes = [("minutes".to_owned(), minutes.to_string())].into();
        fill(&(self.says("will-roll-back") + &self.says("committed")), &minutes).into()
    }

    /// Leaves configuration mode. What is private or exclusive is lost.
    fn leave(&mut self, session: u32) {
        if self.mode(session) == Mode::Exclusive {
            self.shared = self.active().clone();
        }
        self.with(session, |session| session.mode = Mode::Operational);
    }

    fn answer(&mut self, session: u32, line: &str) -> Reply {
        self.with(session, |session| session.is_asked = false);
        if line.trim().starts_with('n') {
            return Reply::default();
        }
        let lost = if self.mode(session) == Mode::Shared { String::new() } else { self.says("discarding") };
        self.leave(session);
        (lost + &self.says("leaving")).into()
    }
}
