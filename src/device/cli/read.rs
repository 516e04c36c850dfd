//! Reading `[cli]` of a profile.

use std::sync::Arc;
use std::time::Duration;

use super::{CliHabits, NotRead, ShellHabits, StagingHabits, TimerHabits, Together};
use crate::config::reader::{Item, Table};
use crate::device::language::read::{pattern, refused};
use crate::device::language::{Expression, Language, TemplateSources};
use crate::device::{TerminalHabits, Timed};
use crate::openconfig::PortState;

const SECOND: Duration = Duration::from_secs(1);

impl CliHabits {
    /// Reads the table. `sources` are the profile's templates.
    pub(crate) fn read(table: &Table, sources: &TemplateSources) -> Option<Self> {
        let language = Language::read(table, sources);
        let shell = table.one_of("shell", "terminal").and_then(|item| match item.name {
            "shell" => item.choice(&[("exec", ())]).map(|()| ShellHabits::Exec),
            _ => table.table("terminal", TerminalHabits::read).map(Arc::new).map(ShellHabits::Terminal),
        });
        let command_timeout = table.required("command_timeout");
        let command_timeout = command_timeout.and_then(|item| item.duration(SECOND..=SECOND * 600));
        let refusals = table.required("refusals").and_then(|item| item.list(|item| item.read(pattern)));
        let chain = table.get("chain").and_then(|item| item.filled_text());
        let together = table.table("together", |table| {
            let text = |key| table.required(key).and_then(|item| item.filled_text());
            let (between, line) = (text("between"), text("line"));
            Some(Together { between: between?, line: line? })
        });
        let together = match (together, &shell) {
            (Some(_), Some(ShellHabits::Terminal(_))) => {
                refused(table, "together", "a terminal takes one command at a time")
            }
            (together, _) => together,
        };
        let joined = table.get("joined").and_then(|item| item.list(Item::filled_text));
        let save = table.get("save").and_then(|item| item.list(Item::filled_text));
        let staging = table.table("staging", StagingHabits::read);
        let not_read = table.table("not_read", NotRead::read);
        let language = language?;
        // What is read, what is taken for granted where nothing is said, and what is taken back unseen.
        let contradicts = [
            ("reads", !language.reads.is_empty()),
            ("in_force", language.in_force != PortState::default()),
            ("staging", staging.is_some()),
            ("together", together.is_some()),
        ];
        match (&not_read, contradicts.into_iter().find(|(_, is_there)| *is_there)) {
            (Some(_), Some((key, _))) => {
                return refused(table, key, "goes not with `not_read`, also where `like` brings it");
            }
            (None, _) if language.reads.is_empty() => {
                return refused(
                    table,
                    "reads",
                    "is missing; where nothing can be read back, `not_read` says why",
                );
            }
            _ => {}
        }
        Some(Self {
            language: Arc::new(language),
            shell: shell?,
            command_timeout: command_timeout?,
            refusals: refusals?,
            chain,
            together,
            joined: joined.unwrap_or_default(),
            staging,
            save: save.unwrap_or_default(),
            not_read,
        })
    }
}

impl NotRead {
    fn read(table: &Table) -> Option<Self> {
        let why = table.required("why").and_then(|item| item.filled_text());
        let taken = table.get("taken").and_then(|item| item.list(|item| item.read(pattern)));
        Some(Self { why: why?, taken: taken.unwrap_or_default() })
    }
}

impl StagingHabits {
    fn read(table: &Table) -> Option<Self> {
        let (enter, discard) = (commands(table, "enter"), commands(table, "discard"));
        let commit = commands(table, "commit");
        let locks = table.get("locks").and_then(|item| item.boolean());
        let timer = table.table("timer", |table| {
            let kinds = [
                ("persist", Timed::Persist),
                ("session-bound", Timed::SessionBound),
                ("any-commit", Timed::AnyCommit),
            ];
            let kind = table.required("confirmed_by").and_then(|item| item.choice(&kinds));
            let granularity = table.required("granularity");
            let granularity = granularity.and_then(|item| item.duration(SECOND..=SECOND * 60));
            let (commit, confirm) = (commands(table, "commit"), commands(table, "confirm"));
            // Only what has a name can be cancelled without harm to somebody else's.
            let cancel = match kind? {
                Timed::Persist => commands(table, "cancel")?,
                _ => Vec::new(),
            };
            let (commit, confirm) = (commit?, confirm?);
            Some(TimerHabits { kind: kind?, granularity: granularity?, commit, confirm, cancel })
        });
        let (enter, discard, commit) = (enter?, discard?, commit?);
        Some(Self { enter, discard, commit, locks: locks.unwrap_or_default(), timer })
    }
}

fn commands(table: &Table, key: &'static str) -> Option<Vec<Expression>> {
    table.required(key).and_then(|item| item.list(|item| item.read(Expression::text)))
}
