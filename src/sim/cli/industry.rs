//! Command lines in the manner of the industry: modes, and a configuration of sections whose lines
//! take effect one by one, or in a session.

mod candidates;
mod os;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use super::edit::{Editor, Within};
use super::grammar::{Matched, Values, parse, seconds};
use super::os::{Os as _, Reply, filtered};
use super::ports::{Natural, Ports};
use super::sections::{Config, Line};
use super::system::{Action, Command, System, fill};
use super::{CliSpec, scaled};
use candidates::Pending;

/// How often a secret may be wrong.
const TRIES: u32 = 3;

pub(super) struct Industry {
    system: Arc<System>,
    ports: Ports,
    /// Those that nothing is plugged into.
    no_link: Vec<String>,
    variants: BTreeSet<String>,
    secret: Option<SecretString>,
    timer_scale: u32,
    editor: Editor,
    running: Config,
    startup: Config,
    /// Configuration sessions that are neither committed nor aborted, by name.
    candidates: BTreeMap<String, Config>,
    pending: Option<Pending>,
    sessions: BTreeMap<u32, Session>,
    last: u32,
}

struct Session {
    mode: Mode,
    asking: Option<Asking>,
    rows: usize,
    columns: usize,
}

#[derive(Clone)]
enum Mode {
    User,
    Enable,
    Config {
        /// The configuration session; none: what is entered is in force.
        candidate: Option<String>,
        within: Option<Within>,
    },
}

#[derive(Clone, Copy)]
enum Asking {
    Secret { tries: u32 },
    FileName,
}

impl Industry {
    pub fn new(system: Arc<System>, spec: &CliSpec) -> Self {
        let names = if spec.ports.is_empty() { system.ports.clone() } else { spec.ports.clone() };
        let ports = Ports::new(system.port_types.clone(), names);
        let running = Config::new(&system, &ports);
        let mut device = Self {
            ports,
            no_link: spec.no_link.clone(),
            variants: spec.variants.clone(),
            secret: spec.enable_secret.clone(),
            timer_scale: spec.timer_scale,
            editor: Editor::new(Arc::clone(&system)),
            startup: running.clone(),
            running,
            candidates: BTreeMap::new(),
            pending: None,
            sessions: BTreeMap::new(),
            last: 0,
            system,
        };
        let hostname = spec.hostname.as_ref().unwrap_or(&device.system.hostname);
        let first = std::iter::once(format!("hostname {hostname}")).chain(device.system.first.clone());
        let lines: Vec<String> = first.chain(spec.config.lines().map(str::to_owned)).collect();
        device.configure_at_once(&lines);
        device
    }

    /// The first configuration, as if someone had entered it and saved.
    fn configure_at_once(&mut self, lines: &[String]) {
        let session = self.open();
        if let Some(session) = self.sessions.get_mut(&session) {
            session.mode = Mode::Config { candidate: None, within: None };
        }
        for line in lines {
            self.enter(session, line, Instant::now());
        }
        self.set_mode(session, Mode::Enable);
        self.close(session);
        self.startup = self.running.clone();
    }

    fn mode(&self, session: u32) -> Mode {
        self.sessions.get(&session).map_or(Mode::User, |session| session.mode.clone())
    }

    /// Leaves the mode that the session is in: what waited for that is in force now.
    fn set_mode(&mut self, session: u32, mode: Mode) {
        let left = self.mode(session);
        if let Mode::Config { candidate, within: Some(within) } = left {
            self.config_mut(candidate.as_ref()).sections.extend(within.staged);
        }
        if let Some(session) = self.sessions.get_mut(&session) {
            session.mode = mode;
        }
    }

    fn config_mut(&mut self, candidate: Option<&String>) -> &mut Config {
        candidate.and_then(|name| self.candidates.get_mut(name)).unwrap_or(&mut self.running)
    }

    fn says(&self, occasion: &str) -> String {
        self.system.says(occasion).to_owned()
    }

    /// The names of the mode, the most special first.
    fn mode_names(&self, mode: &Mode) -> Vec<&str> {
        match mode {
            Mode::User => vec!["user"],
            Mode::Enable => vec!["enable"],
            Mode::Config { candidate, within } => {
                let section = within.iter().map(|within| self.system.sections[within.rule].mode.as_str());
                let session = candidate.iter().map(|_| "session");
                section.chain(session).chain(["config"]).collect()
            }
        }
    }

    fn line(&mut self, session: u32, line: &str, now: Instant) -> Reply {
        let mode = self.mode(session);
        let (line, filter) = match line.split_once(" | ") {
            Some((command, filter)) if line.trim_start().starts_with("sh") => (command, Some(filter.trim())),
            _ => (line, None),
        };
        if line.trim().is_empty() || line.trim_start().starts_with('!') {
            return Reply::default();
        }
        // `do` runs a command of the mode before.
        if let (Mode::Config { .. }, Some(command)) = (&mode, line.trim_start().strip_prefix("do ")) {
            return self.command(session, &Mode::Enable, command, filter, now);
        }
        self.command(session, &mode, line, filter, now)
    }

    fn command(
        &mut self,
        session: u32,
        mode: &Mode,
        line: &str,
        filter: Option<&str>,
        now: Instant,
    ) -> Reply {
        let system = Arc::clone(&self.system);
        let names = self.mode_names(mode);
        let here = |command: &&Command| command.modes.iter().any(|mode| names.contains(&mode.as_str()));
        let commands = system.commands.iter().filter(here);
        let patterns =
            commands.flat_map(|command| command.syntax.iter().map(move |syntax| (syntax, command)));
        let matched = parse(patterns, line, &self.ports);
        let failed = match (matched, mode) {
            (Matched::Found(command, values), _) => {
                let mut reply = self.act(session, command, &values, now);
                if let Some(filter) = filter {
                    match filtered(&reply.text, filter) {
                        Some(text) => reply.text = text,
                        None => return self.refuse(session, &Matched::Invalid(line.len() + 3), line),
                    }
                }
                return reply;
            }
            (failed, Mode::Config { candidate, within }) => {
                match self.configure(session, candidate.as_ref(), within.as_ref(), line) {
                    Ok(text) => return text.into(),
                    // What is almost a command is not almost a line.
                    Err(Matched::Invalid(at)) => match failed {
                        Matched::Invalid(other) => Matched::Invalid(at.max(other)),
                        Matched::Incomplete => Matched::Incomplete,
                        _ => Matched::Ambiguous,
                    },
                    Err(failed) => failed,
                }
            }
            (Matched::Incomplete, _) => Matched::Incomplete,
            (Matched::Ambiguous, _) => Matched::Ambiguous,
            (Matched::Invalid(at) | Matched::BadVlans(at), _) => Matched::Invalid(at),
        };
        self.refuse(session, &failed, line)
    }

    /// One line of a configuration, and what it says to it.
    fn configure(
        &mut self,
        session: u32,
        candidate: Option<&String>,
        within: Option<&Within>,
        line: &str,
    ) -> Result<String, Matched<()>> {
        let config = candidate.and_then(|name| self.candidates.get_mut(name)).unwrap_or(&mut self.running);
        let edited = self.editor.edit(config, within, line, &self.ports, &self.variants)?;
        match edited.within {
            Some(within) if edited.stays => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.mode = Mode::Config { candidate: candidate.cloned(), within: Some(within) };
                }
            }
            within if !edited.stays => {
                self.set_mode(session, Mode::Config { candidate: candidate.cloned(), within });
            }
            _ => {}
        }
        Ok(edited.says)
    }

    fn refuse(&self, session: u32, failed: &Matched<()>, line: &str) -> Reply {
        let values = |caret: usize| -> BTreeMap<String, String> {
            let spaces = " ".repeat(self.prompt(session).len() + caret);
            [("caret".to_owned(), spaces), ("line".to_owned(), line.to_owned())].into()
        };
        let text = match failed {
            Matched::Incomplete => fill(self.system.says("incomplete"), &values(0)),
            Matched::Ambiguous => fill(self.system.says("ambiguous"), &values(0)),
            Matched::BadVlans(at) if !self.system.says("bad-vlans").is_empty() => {
                let list = line[*at..].split_whitespace().next().unwrap_or_default();
                let at = [("at".to_owned(), (list.len() + 1).to_string())].into();
                fill(self.system.says("bad-vlans"), &at)
            }
            Matched::Invalid(at) | Matched::BadVlans(at) => fill(self.system.says("invalid"), &values(*at)),
            Matched::Found(..) => String::new(),
        };
        text.into()
    }

    fn act(&mut self, session: u32, command: &Command, values: &Values, now: Instant) -> Reply {
        let mut said = fill(&command.says, values);
        let number = |name: &str| values.get(name).and_then(|value| value.parse().ok()).unwrap_or(0);
        let named = || values.get("session").cloned();
        match command.does {
            Action::Say => {}
            Action::Enable => match &self.secret {
                Some(_) => self.ask(session, Asking::Secret { tries: 1 }),
                None => self.set_mode(session, Mode::Enable),
            },
            Action::Disable => self.set_mode(session, Mode::User),
            Action::Logout => return Reply { text: said, close: true },
            Action::Rows => self.with(session, |session| session.rows = number("rows")),
            Action::Columns => self.with(session, |session| session.columns = number("columns")),
            Action::Configure => self.set_mode(session, Mode::Config { candidate: None, within: None }),
            Action::Session => said += &self.session(session, named()),
            Action::SessionCommit => said += &self.commit(session, named(), None),
            Action::SessionCommitTimer => {
                let time = values.get("time").and_then(|time| seconds(time)).unwrap_or(0);
                said += &self.commit(session, named(), Some(now + scaled(time, self.timer_scale)));
            }
            Action::SessionAbort => said += &self.abort(session, named()),
            Action::SessionDiffs => said += &self.diffs(session),
            Action::SessionShow => {
                let Mode::Config { candidate: Some(name), .. } = self.mode(session) else {
                    return said.into();
                };
                said += &self.candidates.get(&name).map_or(String::new(), |config| self.shown(config));
            }
            Action::Sessions => said += &self.sessions_table(),
            Action::Exit => match self.mode(session) {
                Mode::User | Mode::Enable => return Reply { text: said, close: true },
                Mode::Config { candidate, within: Some(_) } => {
                    self.set_mode(session, Mode::Config { candidate, within: None });
                }
                Mode::Config { .. } => self.set_mode(session, Mode::Enable),
            },
            Action::End => self.set_mode(session, Mode::Enable),
            Action::DefaultPort => {
                let Mode::Config { candidate, .. } = self.mode(session) else { return said.into() };
                let port = values.get("port").cloned().unwrap_or_default();
                let key = self.port_key(&port);
                if let Some(lines) = self.config_mut(candidate.as_ref()).sections.get_mut(&key) {
                    lines.clear();
                }
            }
            Action::Running => said += &self.shown(&self.running),
            Action::RunningPort => {
                let key = self.port_key(values.get("port").map_or("", String::as_str));
                let text = self.running.section_text(&key, &self.system).unwrap_or_default();
                let bytes = [("bytes".to_owned(), text.len().to_string())].into();
                let show = &self.system.show;
                said += &(fill(&show.before_part, &bytes) + &text + &show.after_part);
            }
            Action::Links => said += &self.links(values.get("port").map(String::as_str)),
            Action::RunningSection => {
                let text = self.text(&self.running);
                let word = values.get("word").map_or("", String::as_str);
                said += &filtered(&text, &format!("section {word}")).unwrap_or_default();
            }
            Action::Startup => said += &self.shown(&self.startup),
            Action::VlanTable => said += &self.running.vlan_table(&self.system),
            Action::Save => self.startup = self.running.clone(),
            Action::SaveAsking => self.ask(session, Asking::FileName),
        }
        said.into()
    }

    /// What a port reports of itself, or every port.
    fn links(&self, only: Option<&str>) -> String {
        let is_shut = |port: &str| {
            let text = self.running.section_text(&self.port_key(port), &self.system).unwrap_or_default();
            text.lines().any(|line| line.trim() == "shutdown")
        };
        let shown = |port: &str| {
            let occasion = match () {
                () if is_shut(port) => "port-shut",
                () if self.no_link.iter().any(|name| name == port) => "port-down",
                () => "port-up",
            };
            fill(self.system.says(occasion), &[("port".to_owned(), port.to_owned())].into())
        };
        self.ports.names().filter(|port| only.is_none_or(|only| only == *port)).map(shown).collect()
    }

    fn with(&mut self, session: u32, change: impl FnOnce(&mut Session)) {
        if let Some(session) = self.sessions.get_mut(&session) {
            change(session);
        }
    }

    fn ask(&mut self, session: u32, asking: Asking) {
        self.with(session, |session| session.asking = Some(asking));
    }

    /// The answer to a question.
    fn answer(&mut self, session: u32, asking: Asking, line: &str) -> Reply {
        self.with(session, |session| session.asking = None);
        match asking {
            Asking::FileName if ["", "startup-config"].contains(&line.trim()) => {
                self.startup = self.running.clone();
                self.says("saved").into()
            }
            Asking::FileName => self.says("save-refused").into(),
            Asking::Secret { tries } => {
                let right = self.secret.as_ref().is_some_and(|secret| secret.expose_secret() == line);
                match right {
                    true => self.set_mode(session, Mode::Enable),
                    false if tries < TRIES => self.ask(session, Asking::Secret { tries: tries + 1 }),
                    false => return self.says("bad-secret").into(),
                }
                Reply::default()
            }
        }
    }

    fn hostname(&self) -> String {
        let named = |line: &Line| match line {
            Line::Text(text) => text.strip_prefix("hostname ").map(str::to_owned),
            Line::Vlans(_) => None,
        };
        self.running.lines.values().find_map(named).unwrap_or_else(|| self.system.hostname.clone())
    }

    fn port_key(&self, port: &str) -> (usize, Natural) {
        let rule =
            self.system.sections.iter().position(|rule| rule.name == "interface").unwrap_or(usize::MAX);
        (rule, Natural(port.to_owned()))
    }

    fn text(&self, config: &Config) -> String {
        config.text(&self.system, &self.variants)
    }

    fn shown(&self, config: &Config) -> String {
        let show = &self.system.show;
        let text = self.text(config);
        let values = [
            ("bytes".to_owned(), (text.len() + show.after.len()).to_string()),
            ("host".to_owned(), self.hostname()),
        ]
        .into();
        fill(&show.before, &values) + &text + &show.after
    }
}
