//! What goes wrong at a command line on purpose, and when.

use std::str::FromStr;
use std::time::Duration;

use regex::Regex;

use crate::sim::{FaultSpecError, Nth, duration};

/// One fault: at which command, and what then. As text `^commit:drop-after`,
/// `^vlan 666$@every:refuse=% Bad VLAN`, `show run:flood=1000000`.
#[derive(Clone, Debug)]
pub struct CliFault {
    /// Found anywhere in the line, as it was typed.
    pub command: Regex,
    pub nth: Nth,
    pub what: CliWhat,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CliWhat {
    /// No effect; this is said instead.
    Refuse(String),
    /// The effect and the answer, and this as well.
    Say(String),
    /// The effect and the answer; this comes in between, as log lines of the device do.
    Noise(String),
    /// No effect, the connection closes.
    DropBefore,
    /// The effect, no answer, the connection closes.
    DropAfter,
    /// The effect; the connection closes in the middle of the answer, or of the next prompt.
    DropInside,
    /// No effect, no answer; the session stays open and says nothing more.
    HangBefore,
    /// The effect, no answer; the session stays open and says nothing more.
    HangAfter,
    /// Effect and answer come this much later.
    Delay(Duration),
    /// The command is echoed this much later.
    LateEcho(Duration),
    /// The effect; this stands once where the prompt belongs.
    Prompt(String),
    /// A question first. An answer that begins with `n` means no effect.
    Ask(String),
    /// So many bytes before the answer.
    Flood(usize),
    /// Someone else enters this line at the same session before.
    First(String),
}

impl CliFault {
    /// The first command that `command`, a regular expression, is found in.
    ///
    /// # Errors
    /// It is none.
    pub fn once(command: &str, what: CliWhat) -> Result<Self, regex::Error> {
        Ok(Self { command: Regex::new(command)?, nth: Nth::Only(1), what })
    }

    /// Each command that `command`, a regular expression, is found in.
    ///
    /// # Errors
    /// It is none.
    pub fn every(command: &str, what: CliWhat) -> Result<Self, regex::Error> {
        Ok(Self { nth: Nth::Every, ..Self::once(command, what)? })
    }
}

const KINDS: &str = "refuse=TEXT, say=TEXT, noise=TEXT, prompt=TEXT, ask=TEXT, first=LINE, flood=BYTES, drop-before, \
                     drop-after, drop-inside, hang-before, hang-after, delay=TIME, late-echo=TIME";

impl FromStr for CliFault {
    type Err = FaultSpecError;

    fn from_str(text: &str) -> Result<Self, FaultSpecError> {
        let fail = |why: &str| FaultSpecError::new(text, why);
        // A command may hold colons, too.
        let parts = text.match_indices(':').find_map(|(at, _)| Some((&text[..at], what(&text[at + 1..])?)));
        let (when, what) = parts.ok_or_else(|| fail(&format!("after the command comes one of {KINDS}")))?;
        let (command, nth) = match when.rsplit_once('@') {
            None => (when, Nth::Only(1)),
            Some((command, "every")) => (command, Nth::Every),
            Some((command, nth)) => {
                let nth = nth.parse().ok().filter(|nth| *nth > 0);
                (command, Nth::Only(nth.ok_or_else(|| fail("after `@` comes a number from 1, or `every`"))?))
            }
        };
        let command = Regex::new(command).map_err(|_| fail("its command is no regular expression"))?;
        Ok(Self { command, nth, what })
    }
}

fn what(text: &str) -> Option<CliWhat> {
    let (kind, value) = text.split_once('=').unwrap_or((text, ""));
    // `\n` for more than one line.
    let words = || (!value.is_empty()).then(|| value.replace("\\n", "\n") + "\n");
    let plain = |what| value.is_empty().then_some(what);
    match kind {
        "refuse" => Some(CliWhat::Refuse(words()?)),
        "say" => Some(CliWhat::Say(words()?)),
        "noise" => Some(CliWhat::Noise(words()?)),
        "prompt" => Some(CliWhat::Prompt(value.to_owned())),
        "ask" => Some(CliWhat::Ask(value.to_owned())),
        "first" => Some(CliWhat::First(value.to_owned())),
        "delay" => Some(CliWhat::Delay(duration(value)?)),
        "late-echo" => Some(CliWhat::LateEcho(duration(value)?)),
        "flood" => Some(CliWhat::Flood(value.parse().ok()?)),
        "drop-before" => plain(CliWhat::DropBefore),
        "drop-after" => plain(CliWhat::DropAfter),
        "drop-inside" => plain(CliWhat::DropInside),
        "hang-before" => plain(CliWhat::HangBefore),
        "hang-after" => plain(CliWhat::HangAfter),
        _ => None,
    }
}

/// The faults of one device with what they have counted so far.
#[derive(Default)]
pub(super) struct Faults(Vec<(CliFault, u32)>);

impl Faults {
    pub fn add(&mut self, fault: CliFault) {
        self.0.push((fault, 0));
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether an echo may have to wait.
    pub fn holds_echo(&self) -> bool {
        self.0.iter().any(|(fault, _)| matches!(fault.what, CliWhat::LateEcho(_)))
    }

    /// How late the echo of this command is, before anything counts it.
    pub fn late_echo(&self, command: &str) -> Duration {
        let mut counted = Self(self.0.clone());
        match counted.due(command) {
            Some(CliWhat::LateEcho(time)) => time,
            _ => Duration::ZERO,
        }
    }

    /// What a command runs into. Every fault counts it; the first one due wins.
    pub fn due(&mut self, command: &str) -> Option<CliWhat> {
        let mut due = None;
        for (fault, seen) in self.0.iter_mut().filter(|(fault, _)| fault.command.is_match(command)) {
            *seen += 1;
            let now = match fault.nth {
                Nth::Every => true,
                Nth::Only(nth) => nth == *seen,
            };
            if now && due.is_none() {
                due = Some(fault.what.clone());
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let fault: CliFault = "^commit timer 0:05:00@2:drop-after".parse().unwrap();
        assert_eq!((fault.command.as_str(), fault.what), ("^commit timer 0:05:00", CliWhat::DropAfter));
        assert_eq!(fault.nth, Nth::Only(2));
        let fault: CliFault = "vlan@every:refuse=% Bad: no\\nreally".parse().unwrap();
        assert_eq!(fault.what, CliWhat::Refuse("% Bad: no\nreally\n".to_owned()));
        for bad in [
            "",
            "vlan",
            "vlan:boom",
            "vlan@0:drop-after",
            "(:drop-after",
            "vlan:delay=5",
            "vlan:drop-after=1",
        ] {
            assert!(bad.parse::<CliFault>().is_err(), "{bad}");
        }
    }

    #[test]
    fn occurrences() {
        let mut faults = Faults::default();
        faults.add("^vlan@2:hang-after".parse().unwrap());
        faults.add("mode@every:drop-before".parse().unwrap());
        let got = ["vlan 1", "no vlan 1", "vlan 2", "switchport mode trunk"].map(|line| faults.due(line));
        assert_eq!(got, [None, None, Some(CliWhat::HangAfter), Some(CliWhat::DropBefore)]);
    }
}
