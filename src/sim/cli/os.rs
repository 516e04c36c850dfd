//! What the sessions of one device talk to.

use tokio::time::Instant;

/// A device's command lines without the terminal: pure, but for the time that it is told.
pub(super) trait Os: Send {
    /// Someone logs in.
    fn open(&mut self) -> u32;

    /// A session is over, however it ended.
    fn close(&mut self, session: u32);

    /// What it asks for the next line with.
    fn prompt(&self, session: u32) -> String;

    /// Whether the next line is a secret, so that it is not echoed.
    fn is_secret(&self, _session: u32) -> bool {
        false
    }

    /// Lines a screen; 0: no paging.
    fn rows(&self, session: u32) -> usize;

    /// Columns a line; 0: it does not care.
    fn columns(&self, session: u32) -> usize;

    /// Takes one line.
    fn enter(&mut self, session: u32, line: &str, now: Instant) -> Reply;

    /// One command on a channel of its own.
    fn exec(&mut self, command: &str, now: Instant) -> Executed {
        let session = self.open();
        let reply = self.enter(session, command, now);
        self.close(session);
        Executed { out: reply.text, ..Executed::default() }
    }

    /// Does what is due by this time.
    fn expire(&mut self, now: Instant);

    /// When a timer runs out, if one runs.
    fn deadline(&self) -> Option<Instant>;

    /// The configuration in force.
    fn running(&self) -> String;

    /// What it would start with.
    fn startup(&self) -> String;
}

/// What it answers to a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    /// Lines end in `\n`.
    pub text: String,
    /// It ends the session.
    pub close: bool,
}

impl From<String> for Reply {
    fn from(text: String) -> Self {
        Self { text, close: false }
    }
}

/// What a command on a channel of its own did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Executed {
    pub out: String,
    pub err: String,
    pub status: u32,
}

/// Lines that `| include`, `| exclude`, `| begin` and `| section` leave; none: that is no filter.
pub(super) fn filtered(text: &str, filter: &str) -> Option<String> {
    let (kind, word) = filter.split_once(' ').unwrap_or((filter, ""));
    let pattern = regex::Regex::new(word).ok()?;
    let is = |name: &str| !kind.is_empty() && name.starts_with(kind);
    let mut within = false;
    let keep = |line: &&str| match kind {
        _ if is("include") || kind == "match" => pattern.is_match(line),
        _ if is("exclude") || kind == "except" => !pattern.is_match(line),
        _ if is("begin") || kind == "find" => {
            within |= pattern.is_match(line);
            within
        }
        _ => {
            if !line.starts_with(' ') {
                within = pattern.is_match(line);
            }
            within
        }
    };
    let known = ["include", "exclude", "begin", "section", "match", "except", "find"];
    match kind {
        "no-more" => Some(text.to_owned()),
        _ if !word.is_empty() && known.iter().any(|name| is(name)) => {
            Some(text.lines().filter(keep).map(|line| format!("{line}\n")).collect())
        }
        _ => None,
    }
}
