//! Commands in, what they printed out.

use async_trait::async_trait;
use tokio::time::Instant;

use crate::quote::quoted;
use crate::transport::{Cause, Fault};

/// The most that one command may print, bytes.
pub(super) const MOST: usize = 16 << 20;

/// What a command printed. Whether that is an error is for others to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Lines end in `\n`; without the echo of the command and the prompt.
    pub text: String,
    /// What it wrote apart, where the two can be told apart.
    pub errors: String,
    /// Its exit status, where there is one.
    pub status: Option<u32>,
    /// Whether it held bytes that are no UTF-8; U+FFFD stands in their place.
    pub garbled: bool,
}

/// Runs commands one at a time.
#[async_trait]
pub trait Shell: Send {
    /// Runs one command and takes all its output, until the device is ready for the next. `NotSent`:
    /// nothing of it left us. `Lost`: it was sent and no complete answer came. Never `Rejected`.
    /// After a fault the shell is of no more use, unless the command itself was refused by us.
    async fn run(&mut self, command: &str, deadline: Instant) -> Result<Output, Fault>;

    /// Enters the configuration mode, where there is one. `Rejected`: the device stayed where it was.
    async fn enter_configuration(&mut self, _: Instant) -> Result<(), Fault> {
        Ok(())
    }

    /// Leaves the configuration mode, from wherever in it; what was said to that.
    async fn leave_configuration(&mut self, _: Instant) -> Result<Output, Fault> {
        Ok(Output::default())
    }

    /// False when the peer closed, or an answer was lost: open another.
    fn is_open(&self) -> bool;

    /// Ends it without waiting long; errors do not matter any more.
    async fn close(&mut self);
}

/// Refuses what would be more than one command, or none.
pub(super) fn check(command: &str) -> Result<(), Fault> {
    let refused = |why| Err(Fault::NotSent(Cause::Unsupported(format!("{} {why}", quoted(command)))));
    match command {
        _ if command.trim().is_empty() => refused("is no command"),
        _ if command.chars().any(is_control) => refused("holds a control character"),
        _ => Ok(()),
    }
}

/// Also what only some terminals take for the end of a line.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_one_line() {
        assert!(check("show version").is_ok());
        for bad in ["", " ", "a\nb", "a\rb", "a\u{3}", "a\tb", "a\u{1b}[A", "a\u{85}b", "a\u{2028}b", "a\0"] {
            assert!(matches!(check(bad), Err(Fault::NotSent(Cause::Unsupported(_)))), "{bad:?}");
        }
    }
}
