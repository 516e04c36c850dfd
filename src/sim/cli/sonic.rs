//! A SONiC host: commands that change its configuration database, and a shell around them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;
use tokio::time::Instant;

use super::CliSpec;
use super::os::{Executed, Os, Reply};
use super::ports::Natural;
use super::statements::words;
use super::system::{System, fill};

/// CONFIG_DB, as far as it goes here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Database {
    #[serde(rename = "PORT")]
    ports: BTreeMap<Natural, BTreeMap<String, String>>,
    #[serde(rename = "VLAN")]
    vlans: BTreeMap<Natural, BTreeMap<String, String>>,
    /// By `Vlan100|Ethernet0`.
    #[serde(rename = "VLAN_MEMBER")]
    members: BTreeMap<Natural, BTreeMap<String, String>>,
}

pub(super) struct Sonic {
    system: Arc<System>,
    user: String,
    hostname: String,
    running: Database,
    startup: Database,
    sessions: u32,
}

/// What is said on the error output.
type Refused = String;

impl Sonic {
    pub fn new(system: Arc<System>, spec: &CliSpec) -> Self {
        let names = if spec.ports.is_empty() { &system.ports } else { &spec.ports };
        let port = |name: &String| {
            let fields = [("admin_status", "up"), ("mtu", "9100")];
            let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
            (Natural(name.clone()), fields.into())
        };
        let mut device = Self {
            user: spec.username.clone(),
            hostname: spec.hostname.clone().unwrap_or_else(|| system.hostname.clone()),
            running: Database { ports: names.iter().map(port).collect(), ..Database::default() },
            startup: Database::default(),
            sessions: 0,
            system,
        };
        for line in spec.config.lines() {
            device.command(line);
        }
        device.startup = device.running.clone();
        device
    }

    /// Commands with `&&` between them.
    fn command(&mut self, line: &str) -> Executed {
        let mut all = Executed::default();
        for part in line.split("&&") {
            let Some(words) = words(part) else { continue };
            let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
            let is_root = words.first() == Some(&"sudo");
            if is_root {
                words.remove(0);
            }
            let done = match words[..] {
                [] => Ok(String::new()),
                ["config", ..] if !is_root => Err(self.system.says("not-root").to_owned()),
                ["config", ref command @ ..] => self.config(command),
                ["show", ..] | ["sonic-cfggen", ..] => self.show(&words),
                [program, ..] => {
                    let program = [("program".to_owned(), program.to_owned())].into();
                    all.status = 127;
                    all.err += &fill(self.system.says("no-program"), &program);
                    return all;
                }
            };
            match done {
                Ok(said) => all.out += &said,
                Err(why) => {
                    all.err += &why;
                    all.status = 2;
                    return all;
                }
            }
        }
        all
    }

    /// As click, which SONiC's commands are made with, words a failure.
    fn fail(&self, command: &str, why: &str) -> Refused {
        let values = [("command", command), ("why", why)];
        fill(
            self.system.says("failed"),
            &values.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        )
    }

    fn config(&mut self, command: &[&str]) -> Result<String, Refused> {
        match command {
            ["vlan", "add", vlan] => {
                let name = self.vlan(vlan).map_err(|why| self.fail("vlan add [OPTIONS] <vid>", &why))?;
                if self.running.vlans.contains_key(&name) {
                    return Err(self.fail("vlan add [OPTIONS] <vid>", &format!("{} already exists.", name.0)));
                }
                self.running.vlans.insert(name, [("vlanid".to_owned(), (*vlan).to_owned())].into());
            }
            ["vlan", "del", vlan] => {
                let fail = |why: &str| self.fail("vlan del [OPTIONS] <vid>", why);
                let name = self.existing(vlan).map_err(|why| fail(&why))?;
                if self.running.members.keys().any(|key| key.0.starts_with(&format!("{}|", name.0))) {
                    return Err(fail(&format!(
                        "VLAN ID {vlan} can not be removed. First remove all members assigned to this VLAN."
                    )));
                }
                self.running.vlans.remove(&name);
            }
            ["vlan", "member", "add", "-u" | "--untagged", vlan, port] => self.add(vlan, port, "untagged")?,
            ["vlan", "member", "add", vlan, port] => self.add(vlan, port, "tagged")?,
            ["vlan", "member", "del", vlan, port] => {
                let fail = |why: &str| self.fail("vlan member del [OPTIONS] <vid> <port>", why);
                let name = self.existing(vlan).map_err(|why| fail(&why))?;
                let key = Natural(format!("{}|{port}", name.0));
                if !self.running.members.contains_key(&key) {
                    return Err(fail(&format!("{port} is not a member of {}", name.0)));
                }
                self.running.members.remove(&key);
            }
            ["interface", what @ ("startup" | "shutdown"), port] => {
                let status = if *what == "startup" { "up" } else { "down" };
                self.port(port, what, "admin_status", status)?;
            }
            ["interface", "mtu", port, mtu] => match mtu.parse::<u32>() {
                Ok(68..=9216) => self.port(port, "mtu", "mtu", mtu)?,
                _ => {
                    return Err(self.fail(
                        "interface mtu [OPTIONS] <interface_name> <interface_mtu>",
                        "Invalid port MTU",
                    ));
                }
            },
            ["save", "-y"] => {
                self.startup = self.running.clone();
                return Ok(self.system.says("saved").to_owned());
            }
            [.., last] => {
                return Err(self.fail("[OPTIONS] COMMAND [ARGS]...", &format!("No such command \"{last}\".")));
            }
            [] => return Err(self.fail("[OPTIONS] COMMAND [ARGS]...", "Missing command.")),
        }
        Ok(String::new())
    }

    fn vlan(&self, vlan: &str) -> Result<Natural, String> {
        let number: u16 = vlan.parse().map_err(|_| format!("{vlan} is not integer"))?;
        match number {
            1 => Err("Vlan1 is default VLAN".to_owned()),
            2..=4094 => Ok(Natural(format!("Vlan{number}"))),
            _ => Err(format!("Invalid VLAN ID {vlan} (2-4094)")),
        }
    }

    fn existing(&self, vlan: &str) -> Result<Natural, String> {
        let name = self.vlan(vlan)?;
        match self.running.vlans.contains_key(&name) {
            true => Ok(name),
            false => Err(format!("{} does not exist", name.0)),
        }
    }

    fn add(&mut self, vlan: &str, port: &str, mode: &str) -> Result<(), Refused> {
        let fail = |why: &str| self.fail("vlan member add [OPTIONS] <vid> port", why);
        let name = self.existing(vlan).map_err(|why| fail(&why))?;
        let key = Natural(format!("{}|{port}", name.0));
        if self.running.members.contains_key(&key) {
            return Err(fail(&format!("{port} is already a member of {}", name.0)));
        }
        if !self.running.ports.contains_key(&Natural(port.to_owned())) {
            return Err(fail(&format!("{port} does not exist")));
        }
        let of_port = |(key, fields): (&Natural, &BTreeMap<String, String>)| {
            key.0.ends_with(&format!("|{port}")) && fields.values().any(|mode| mode == "untagged")
        };
        if mode == "untagged" && self.running.members.iter().any(of_port) {
            return Err(fail(&format!("{port} is already untagged member!")));
        }
        self.running.members.insert(key, [("tagging_mode".to_owned(), mode.to_owned())].into());
        Ok(())
    }

    fn port(&mut self, port: &str, command: &str, field: &str, value: &str) -> Result<(), Refused> {
        let why = self
            .fail(&format!("interface {command} [OPTIONS] <interface_name>"), self.system.says("no-port"));
        let fields = self.running.ports.get_mut(&Natural(port.to_owned())).ok_or(why)?;
        fields.insert(field.to_owned(), value.to_owned());
        Ok(())
    }

    fn show(&self, words: &[&str]) -> Result<String, Refused> {
        match words {
            ["show", "runningconfiguration", "all"] | ["sonic-cfggen", "-d", "--print-data"] => {
                Ok(json(&self.running))
            }
            ["show", "vlan", "config"] => {
                let mut rows =
                    String::from("Name       VID  Member      Mode\n-------  -----  ----------  --------\n");
                for (name, fields) in &self.running.vlans {
                    let vlan = fields.get("vlanid").map_or("", String::as_str);
                    let before = format!("{}|", name.0);
                    let of_vlan = |(key, fields): (&Natural, &BTreeMap<String, String>)| {
                        let port = key.0.strip_prefix(&before)?.to_owned();
                        Some((port, fields.get("tagging_mode").cloned().unwrap_or_default()))
                    };
                    let members: Vec<_> = self.running.members.iter().filter_map(of_vlan).collect();
                    if members.is_empty() {
                        writeln!(rows, "{:7}  {vlan:>5}", name.0).ok();
                    }
                    for (port, mode) in members {
                        writeln!(rows, "{:7}  {vlan:>5}  {port:10}  {mode}", name.0).ok();
                    }
                }
                Ok(rows)
            }
            [.., last] => {
                Err(self.fail("[OPTIONS] COMMAND [ARGS]...", &format!("No such command \"{last}\".")))
            }
            [] => Ok(String::new()),
        }
    }
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
