//! `config`: what it checks before the database changes, and what it says.

use super::{Failed, Fields, Sonic};
use crate::sim::cli::ports::Natural;

/// Why a command that was understood is not carried out.
type Refused = String;

impl Sonic {
    pub(super) fn config(&mut self, command: &[&str]) -> Result<String, Failed> {
        let (name, wants, done) = match command {
            ["vlan", "add", vlan] => ("vlan add", "<vid>", self.add_vlan(vlan)),
            ["vlan", "del", vlan] => ("vlan del", "<vid>", self.delete_vlan(vlan)),
            ["vlan", "member", "add", arguments @ ..] => {
                ("vlan member add", "<vid> port", self.add_members(arguments))
            }
            ["vlan", "member", "del", vlan, port] => {
                ("vlan member del", "<vid> <port>", self.delete_members(vlan, port))
            }
            ["interface", "startup", port] => {
                ("interface startup", "<interface_name>", self.set_admin(port, "up"))
            }
            ["interface", "shutdown", port] => {
                ("interface shutdown", "<interface_name>", self.set_admin(port, "down"))
            }
            ["interface", "mtu", port, mtu] => return self.set_mtu(port, mtu),
            ["save", "-y"] => {
                self.startup = self.running.clone();
                return Ok(self.system.says("saved").to_owned());
            }
            [] => return Err(self.usage("config", "COMMAND [ARGS]...", "Missing command.")),
            [first, ..] => {
                let why = format!("No such command \"{first}\".");
                return Err(self.usage("config", "COMMAND [ARGS]...", &why));
            }
        };
        self.apply();
        done.map(|()| String::new()).map_err(|why| self.usage(&format!("config {name}"), wants, &why))
    }

    fn add_vlan(&mut self, vlan: &str) -> Result<(), Refused> {
        let number = number(vlan, format!("{vlan} is not integer"))?;
        let name = named(number)?;
        if number == 1 {
            return Err(format!("{} is default VLAN", name.0));
        }
        if self.running.vlans.contains_key(&name) {
            return Err(format!("{} already exists.", name.0));
        }
        self.running.vlans.insert(name, field("vlanid", &number.to_string()));
        Ok(())
    }

    fn delete_vlan(&mut self, vlan: &str) -> Result<(), Refused> {
        let number = number(vlan, format!("{vlan} is not integer"))?;
        let name = named(number)?;
        if !self.running.vlans.contains_key(&name) {
            return Err(format!("{} does not exist", name.0));
        }
        if self.running.members.keys().any(|key| key.0.starts_with(&format!("{}|", name.0))) {
            return Err(format!(
                "VLAN ID {number} can not be removed. First remove all members assigned to this VLAN."
            ));
        }
        self.running.vlans.remove(&name);
        Ok(())
    }

    /// Options may stand anywhere.
    fn add_members(&mut self, arguments: &[&str]) -> Result<(), Refused> {
        let (options, rest): (Vec<&str>, Vec<&str>) =
            arguments.iter().partition(|argument| argument.starts_with('-'));
        if let Some(unknown) = options.iter().find(|option| !["-u", "--untagged"].contains(*option)) {
            return Err(format!("no such option: {unknown}"));
        }
        let untagged = !options.is_empty();
        let (vlan, port) = match rest[..] {
            [vlan, port] => (vlan, port),
            [_] => return Err("Missing argument \"port\".".to_owned()),
            [] => return Err("Missing argument \"<vid>\".".to_owned()),
            [.., more] => return Err(format!("Got unexpected extra argument ({more})")),
        };
        let numbers: Vec<u16> = match vlan {
            "all" if untagged => return Err(format!("{port} cannot have more than one untagged Vlan.")),
            "all" => self.running.vlans.keys().filter_map(of_vlan).collect(),
            vlan => vec![number(vlan, "Vlan is not integer.".to_owned())?],
        };
        let mode = if untagged { "untagged" } else { "tagged" };
        for number in numbers {
            self.may_join(number, port, untagged)?;
            let key = Natural(format!("Vlan{number}|{port}"));
            self.running.members.insert(key, field("tagging_mode", mode));
        }
        Ok(())
    }

    fn may_join(&self, number: u16, port: &str, untagged: bool) -> Result<(), Refused> {
        let name = named(number)?;
        if number == 1 {
            return Err(format!("{} is default VLAN", name.0));
        }
        if !self.running.vlans.contains_key(&name) {
            return Err(format!("{} does not exist", name.0));
        }
        if self.running.members.contains_key(&Natural(format!("{}|{port}", name.0))) {
            return Err(format!("{port} is already a member of {}", name.0));
        }
        let Some(fields) = self.running.ports.get(&Natural(port.to_owned())) else {
            return Err(format!("{port} does not exist"));
        };
        let is_untagged = |(key, fields): (&Natural, &Fields)| {
            key.0.ends_with(&format!("|{port}")) && fields.values().any(|mode| mode == "untagged")
        };
        if untagged && self.running.members.iter().any(is_untagged) {
            return Err(format!("{port} is already untagged member!"));
        }
        match fields.get("mode").map(String::as_str) {
            Some("routed") => {
                Err(format!("{port} is in routed mode!\nUse switchport mode command to change port mode"))
            }
            Some("access") if !untagged => {
                Err(format!("{port} is in access mode! Tagged Members cannot be added"))
            }
            _ => Ok(()),
        }
    }

    fn delete_members(&mut self, vlan: &str, port: &str) -> Result<(), Refused> {
        let of_port = |key: &Natural| {
            let (vlan, member) = key.0.split_once('|')?;
            (member == port).then(|| of_vlan(&Natural(vlan.to_owned()))).flatten()
        };
        let numbers: Vec<u16> = match vlan {
            "all" => self.running.members.keys().filter_map(of_port).collect(),
            vlan => vec![number(vlan, "Vlan is not integer.".to_owned())?],
        };
        for number in numbers {
            let name = named(number)?;
            if !self.running.vlans.contains_key(&name) {
                return Err(format!("{} does not exist", name.0));
            }
            if self.running.members.remove(&Natural(format!("{}|{port}", name.0))).is_none() {
                return Err(format!("{port} is not a member of {}", name.0));
            }
        }
        Ok(())
    }

    fn set_admin(&mut self, port: &str, status: &str) -> Result<(), Refused> {
        let fields = self.running.ports.get_mut(&Natural(port.to_owned()));
        let fields = fields.ok_or_else(|| self.system.says("no-port").to_owned())?;
        fields.insert("admin_status".to_owned(), status.to_owned());
        Ok(())
    }

    /// `config` asks `portconfig`, which words failures in its own way.
    fn set_mtu(&mut self, port: &str, mtu: &str) -> Result<String, Failed> {
        if mtu.parse::<i64>().is_err() {
            return Err(Failed { said: self.says("no-mtu", &[("mtu", mtu)]), status: 2 });
        }
        let no_port = Failed { said: self.says("no-port-to-set", &[("port", port)]), status: 1 };
        let fields = self.running.ports.get_mut(&Natural(port.to_owned())).ok_or(no_port)?;
        fields.insert("mtu".to_owned(), mtu.to_owned());
        self.apply();
        Ok(String::new())
    }
}

fn field(name: &str, value: &str) -> Fields {
    [(name.to_owned(), value.to_owned())].into()
}

/// A number that may be no VLAN's.
fn number(vlan: &str, otherwise: Refused) -> Result<u16, Refused> {
    let is_number = !vlan.is_empty() && vlan.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { Ok(vlan.parse().unwrap_or(u16::MAX)) } else { Err(otherwise) }
}

fn named(number: u16) -> Result<Natural, Refused> {
    match number {
        1..=4094 => Ok(Natural(format!("Vlan{number}"))),
        _ => Err(format!("Invalid VLAN ID {number} (2-4094)")),
    }
}

/// The number of a VLAN by its name.
fn of_vlan(name: &Natural) -> Option<u16> {
    name.0.strip_prefix("Vlan")?.parse().ok()
}
