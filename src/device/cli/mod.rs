//! How a system is spoken to on its command line: `[cli]` of a profile.

mod read;

use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use crate::device::language::{Expression, Language};
use crate::device::{TerminalHabits, Timed};

/// Everything that is known about one command line.
#[derive(Clone, Debug)]
pub struct CliHabits {
    /// What is written and read on it.
    pub language: Arc<Language>,
    pub shell: ShellHabits,
    /// How long one command may take.
    pub command_timeout: Duration,
    /// A line of output that fits one of these says that the command was refused.
    pub refusals: Vec<Regex>,
    /// What stands between commands that go out as one, each only if those before it succeeded; none:
    /// each goes out alone.
    pub chain: Option<String>,
    /// How commands that change nothing, and the one before them, go out as one; none: one by one.
    pub together: Option<Together>,
    /// Commands that begin with one of these words become one, joined by ` -- `.
    pub joined: Vec<String>,
    /// Where lines take effect only at a commit.
    pub staging: Option<StagingHabits>,
    /// What saves running to startup; empty: it need not be saved.
    pub save: Vec<String>,
    /// Nothing of it can be read back; none: it can.
    pub not_read: Option<NotRead>,
}

/// A system of whose output nothing is known that shows what a port holds: it is told what to do, and
/// believed as far as it keeps silent.
#[derive(Clone, Debug)]
pub struct NotRead {
    /// Why, for people.
    pub why: String,
    /// What lines that are taken may print. Anything else is a refusal.
    pub taken: Vec<Regex>,
}

impl CliHabits {
    /// Whether anything may have changed on a device that took these lines up to the refusal of one
    /// command, or of the one that lets it configure.
    pub fn may_have_acted(&self, lines: &str, refused: &str) -> bool {
        if let ShellHabits::Terminal(terminal) = &self.shell
            && terminal.configure.as_deref() == Some(refused)
        {
            return false;
        }
        let mut at = (0..).zip(lines.lines()).filter(|(_, line)| *line == refused).map(|(n, _)| n);
        match (at.next(), at.next()) {
            (Some(n), None) => lines.lines().take(n + 1).any(|line| self.language.acts(line)),
            // Of two that are alike nobody knows which.
            _ => true,
        }
    }
}

/// Several commands as one, each run only if the one before it succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Together {
    /// What stands between two commands; it prints `line`.
    pub between: String,
    /// A line that no command prints by itself.
    pub line: String,
}

/// How one command is run.
#[derive(Clone, Debug)]
pub enum ShellHabits {
    /// Each by itself, as `ssh switch COMMAND` would.
    Exec,
    /// Typed at a prompt.
    Terminal(Arc<TerminalHabits>),
}

/// A candidate on a command line. Commands are templates: `id` names the change.
#[derive(Clone, Debug)]
pub struct StagingHabits {
    /// Enters the candidate, in place of the terminal's `configure`.
    pub enter: Vec<Expression>,
    /// Throws it away, if it is ours.
    pub discard: Vec<Expression>,
    pub commit: Vec<Expression>,
    /// Whether entering keeps everybody else out.
    pub locks: bool,
    pub timer: Option<TimerHabits>,
}

/// A commit that the device takes back by itself.
#[derive(Clone, Debug)]
pub struct TimerHabits {
    pub kind: Timed,
    /// The unit in which it counts.
    pub granularity: Duration,
    /// With the time as `seconds`, `minutes` (rounded up) and `clock` (`hh:mm:ss`).
    pub commit: Vec<Expression>,
    pub confirm: Vec<Expression>,
    pub cancel: Vec<Expression>,
}

#[cfg(test)]
mod tests {
    use crate::device::{Speaks, own_profile};

    #[test]
    fn a_line_of_which_nothing_is_said_may_have_acted() {
        let profile = own_profile(
            "like = \"supermicro_smis\"\n[[cli.own_lines]]\nmatch = 'switchport'\n\
             [[cli.own_lines]]\nmatch = 'keepalive'\n",
        );
        let Speaks::Cli(habits) = &profile.speaks else { panic!("it has a command line") };
        let lines = "interface eth 1\nswitchport\nkeepalive\nexit\n";
        for (refused, has_acted) in [
            ("configure terminal", false),
            ("interface eth 1", false),
            ("switchport", true),
            ("keepalive", true),
        ] {
            assert_eq!(habits.may_have_acted(lines, refused), has_acted, "{refused}");
        }
    }
}
