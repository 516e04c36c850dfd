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
