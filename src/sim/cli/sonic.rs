//! A SONiC host: commands that change its configuration database, and a shell around them.

mod config;
mod show;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tokio::time::Instant;

use super::CliSpec;
use super::os::{Executed, Os, Reply};
use super::ports::Natural;
use super::system::{System, fill};

/// CONFIG_DB, as far as it goes here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Database {
    #[serde(rename = "PORT")]
    ports: Table,
    #[serde(rename = "VLAN")]
    vlans: Table,
    /// By `Vlan100|Ethernet0`.
    #[serde(rename = "VLAN_MEMBER")]
    members: Table,
}

type Table = BTreeMap<Natural, Fields>;
type Fields = BTreeMap<String, String>;

pub(super) struct Sonic {
    system: Arc<System>,
    user: String,
    hostname: String,
    running: Database,
    startup: Database,
    /// PORT_TABLE of APPL_DB, which is what `show interfaces` shows. A field that goes from a port in
    /// CONFIG_DB stays here: portmgrd passes on those that are there.
    applied: Table,
    /// Ports that nothing is plugged into.
    no_link: Vec<String>,
    sessions: u32,
}

/// What is said on the error output, and the status.
struct Failed {
    said: String,
    status: u32,
}

impl Sonic {
    pub fn new(system: Arc<System>, spec: &CliSpec) -> Self {
        let names = if spec.ports.is_empty() { &system.ports } else { &spec.ports };
        let port = |(n, name): (usize, &String)| {
            let lanes: Vec<String> = (4 * n..4 * n + 4).map(|lane| lane.to_string()).collect();
            let fields = [
                ("admin_status", "up".to_owned()),
                ("alias", format!("etp{}", n + 1)),
                ("lanes", lanes.join(",")),
                ("mtu", "9100".to_owned()),
                ("speed", "100000".to_owned()),
            ];
            (Natural(name.clone()), fields.map(|(name, value)| (name.to_owned(), value)).into())
        };
        let mut device = Self {
            user: spec.username.clone(),
            hostname: spec.hostname.clone().unwrap_or_else(|| system.hostname.clone()),
            running: Database { ports: names.iter().enumerate().map(port).collect(), ..Database::default() },
            startup: Database::default(),
            applied: Table::new(),
            no_link: spec.no_link.clone(),
            sessions: 0,
            system,
        };
        device.apply();
        for line in spec.config.lines() {
            device.command(line);
        }
        device.startup = device.running.clone();
        device
    }

    /// As portmgrd does whenever a port changes.
    fn apply(&mut self) {
        for (name, fields) in &self.running.ports {
            self.applied.entry(name.clone()).or_default().extend(fields.clone());
        }
    }

    /// One line of a shell: commands with `&&` between them, each if the one before it succeeded.
    fn command(&mut self, line: &str) -> Executed {
        let mut all = Executed::default();
        let Some(commands) = split(line) else {
            all.err = self.system.says("no-syntax").to_owned();
            all.status = 2;
            return all;
        };
        for words in commands {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            match self.program(&words) {
                Ok(said) => all.out += &said,
                Err(Failed { said, status }) => {
                    all.err += &said;
                    all.status = status;
                    return all;
                }
            }
        }
        all
    }

    fn program(&mut self, words: &[&str]) -> Result<String, Failed> {
        let (words, is_root) = match words {
            ["sudo", rest @ ..] => (rest, true),
            words => (words, false),
        };
        match words {
            [] => Ok(String::new()),
            ["config", ..] if !is_root => {
                Err(Failed { said: self.system.says("not-root").to_owned(), status: 1 })
            }
            ["config", command @ ..] => self.config(command),
            ["sonic-db-cli", "CONFIG_DB", command @ ..] => self.redis(command),
            ["show", what @ ..] => self.show(what),
            ["sonic-cfggen", "-d", "--print-data"] => Ok(json(&self.running)),
            ["echo", words @ ..] => Ok(words.join(" ") + "\n"),
            [program, ..] => {
                let said = self.says("no-program", &[("program", program)]);
                Err(Failed { said, status: 127 })
            }
        }
    }

    /// The database itself: nothing is checked.
    fn redis(&mut self, command: &[&str]) -> Result<String, Failed> {
        let port = |key: &str| Some(Natural(key.strip_prefix("PORT|")?.to_owned()));
        let answer = match command {
            ["HSET", key, field, value] if let Some(port) = port(key) => {
                let fields = self.running.ports.entry(port).or_default();
                fields.insert((*field).to_owned(), (*value).to_owned()).is_none()
            }
            ["HDEL", key, field] if let Some(port) = port(key) => {
                self.running.ports.get_mut(&port).is_some_and(|fields| fields.remove(*field).is_some())
            }
            _ => return Err(Failed { said: self.system.says("no-redis").to_owned(), status: 1 }),
        };
        self.apply();
        Ok(format!("{}\n", u8::from(answer)))
    }

    fn says(&self, occasion: &str, values: &[(&str, &str)]) -> String {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        fill(self.system.says(occasion), &values.iter().map(own).collect())
    }

    /// As click, which SONiC's commands are made with, words a command that it does not take: the
    /// command, what it wants and why it failed.
    fn usage(&self, command: &str, wants: &str, why: &str) -> Failed {
        Failed {
            said: self.says("usage", &[("command", command), ("wants", wants), ("why", why)]),
            status: 2,
        }
    }
}

/// The commands of a line and their words, without quotes. None: there is more in it than that.
fn split(line: &str) -> Option<Vec<Vec<String>>> {
    let mut commands = vec![Vec::new()];
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("&&") {
            commands.last().filter(|words| !words.is_empty())?;
            commands.push(Vec::new());
            rest = after.trim_start();
            continue;
        }
        let mut word = String::new();
        while let Some(c) = rest.chars().next() {
            let after = &rest[c.len_utf8()..];
            match c {
                ' ' => break,
                '&' if after.starts_with('&') => break,
                '\'' => {
                    let (quoted, after) = after.split_once('\'')?;
                    word.push_str(quoted);
                    rest = after;
                    continue;
                }
                '"' | '\\' | '$' | '`' | ';' | '|' | '&' | '<' | '>' | '(' | ')' | '*' | '?' | '#' => {
                    return None;
                }
                c => word.push(c),
            }
            rest = after;
        }
        commands.last_mut()?.push(word);
        rest = rest.trim_start();
    }
    let is_whole = commands.len() == 1 || commands.last().is_some_and(|words| !words.is_empty());
    is_whole.then_some(commands)
}

fn json(database: &Database) -> String {
    serde_json::to_string_pretty(database).unwrap_or_default() + "\n"
}

impl Os for Sonic {
    fn open(&mut self) -> u32 {
        self.sessions += 1;
        self.sessions
    }

    fn close(&mut self, _session: u32) {}

    fn prompt(&self, _session: u32) -> String {
        let values = [("user".to_owned(), self.user.clone()), ("host".to_owned(), self.hostname.clone())];
        fill(self.system.prompts.get("shell").map_or("", String::as_str), &values.into())
    }

    fn rows(&self, _session: u32) -> usize {
        0
    }

    fn columns(&self, _session: u32) -> usize {
        0
    }

    fn enter(&mut self, _session: u32, line: &str, _now: Instant) -> Reply {
        if ["exit", "logout"].contains(&line.trim()) {
            return Reply { text: "logout\n".to_owned(), close: true };
        }
        let done = self.command(line);
        (done.out + &done.err).into()
    }

    fn exec(&mut self, command: &str, _now: Instant) -> Executed {
        self.command(command)
    }

    fn expire(&mut self, _now: Instant) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn running(&self) -> String {
        json(&self.running)
    }

    fn startup(&self) -> String {
        json(&self.startup)
    }
}
