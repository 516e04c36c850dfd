//! What devices say, line by line, without a terminal or with one.

mod eos;
mod ios;
mod junos;
mod sonic;
mod terminal;

use tokio::time::Instant;

use super::{CliSpec, Device};

/// One session on a device.
struct Talk {
    device: Device,
    session: u32,
}

impl Talk {
    fn new(spec: &CliSpec) -> Self {
        let mut device = Device::new(spec).unwrap();
        let session = device.os.open();
        Self { device, session }
    }

    /// Enters a line and gives what was said, and the prompt then.
    fn enter(&mut self, line: &str) -> (String, String) {
        let said = self.device.os.enter(self.session, line, Instant::now()).text;
        (said, self.device.os.prompt(self.session))
    }

    /// Enters lines that nothing is said about.
    fn quietly(&mut self, lines: &[&str]) {
        for line in lines {
            assert_eq!(self.enter(line).0, "", "{line}");
        }
    }

    fn running(&self) -> String {
        self.device.os.running()
    }

    /// A port's lines in running.
    fn port(&self, port: &str) -> Vec<String> {
        let running = self.running();
        let lines = running.lines().skip_while(|line| *line != format!("interface {port}")).skip(1);
        lines.take_while(|line| line.starts_with(' ')).map(|line| line.trim().to_owned()).collect()
    }
}

#[test]
fn ports_that_no_command_can_name_are_refused() {
    for (system, port, is_there) in [
        ("cisco_ios", "GigabitEthernet0/1", true),
        ("cisco_ios", "Ethernet1", false),
        ("cisco_ios", "GigabitEthernet", false),
        ("arista_eos", "Ethernet1", true),
        ("sonic", "Ethernet0", true),
        ("juniper_junos", "ge-0/0/0", true),
    ] {
        let made = Device::new(&CliSpec { ports: vec![port.to_owned()], ..CliSpec::new(system) });
        assert_eq!(made.is_ok(), is_there, "{system} {port}");
    }
    let why =
        Device::new(&CliSpec { ports: vec!["Ethernet1".to_owned()], ..CliSpec::new("cisco_ios") }).err();
    let types = "FastEthernet, GigabitEthernet, TenGigabitEthernet, Port-channel, Vlan";
    let expected = format!("cisco_ios has no port `Ethernet1`: its ports begin with one of {types}");
    assert_eq!(why.map(|why| why.to_string()), Some(expected));
}
