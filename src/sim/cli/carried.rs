//! A command line that another protocol carries: no terminal, and lines that take effect together.

use tokio::time::Instant;

use super::{CliSpec, Device, SystemError};

/// A device with configuration sessions.
pub(in crate::sim) struct Carried(Device);

/// The session that lines go into.
const SESSION: &str = "configure session carried";

impl Carried {
    pub fn new(spec: &CliSpec) -> Result<Self, SystemError> {
        Device::new(spec).map(Self)
    }

    /// What a command prints; the error is the device's words.
    pub fn show(&mut self, command: &str) -> Result<String, String> {
        self.within(|device, session| device.said(session, command))
    }

    /// All of the lines or none.
    pub fn configure<'l>(&mut self, lines: impl IntoIterator<Item = &'l str>) -> Result<(), String> {
        let before = self.running();
        self.within(|device, session| {
            device.said(session, SESSION)?;
            for line in lines {
                if let Err(why) = device.said(session, line) {
                    device.said(session, "abort")?;
                    return Err(why);
                }
            }
            device.said(session, "commit").map(drop)
        })
        .inspect_err(|_| debug_assert_eq!(before, self.0.os.running()))
    }

    pub fn running(&self) -> String {
        self.0.os.running()
    }

    fn within<T>(&mut self, work: impl FnOnce(&mut Device, u32) -> Result<T, String>) -> Result<T, String> {
        let session = self.0.os.open();
        let done = self.0.said(session, "enable").and_then(|_| work(&mut self.0, session));
        self.0.os.close(session);
        done
    }
}

impl Device {
    /// What it says to a line; the error is its refusal.
    fn said(&mut self, session: u32, line: &str) -> Result<String, String> {
        let text = self.os.enter(session, line, Instant::now()).text;
        match text.lines().find(|line| line.starts_with("% ")) {
            Some(refusal) => Err(refusal.to_owned()),
            None => Ok(text),
        }
    }
}
