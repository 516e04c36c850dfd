//! What sessions see of the device.

use tokio::time::Instant;

use super::{Asking, Industry, Mode, Session};
use crate::sim::cli::grammar::Values;
use crate::sim::cli::os::{Os, Reply};
use crate::sim::cli::system::fill;

impl Os for Industry {
    fn open(&mut self) -> u32 {
        self.last += 1;
        let enabled = self.secret.is_none() && self.system.begins_enabled;
        let mode = if enabled { Mode::Enable } else { Mode::User };
        let (rows, columns) = (self.system.rows, self.system.columns);
        self.sessions.insert(self.last, Session { mode, asking: None, rows, columns });
        self.last
    }

    fn close(&mut self, session: u32) {
        // What waits for its mode to be left is lost.
        self.sessions.remove(&session);
    }

    fn prompt(&self, session: u32) -> String {
        let Some(Session { mode, asking, .. }) = self.sessions.get(&session) else { return String::new() };
        match asking {
            Some(Asking::Secret { .. }) => return self.says("ask-secret"),
            Some(Asking::FileName) => return self.says("ask-file"),
            None => {}
        }
        let names = self.mode_names(mode);
        let prompt = names.iter().find_map(|name| self.system.prompts.get(*name)).map_or("", String::as_str);
        let (mut host, mut values) = (self.hostname(), Values::new());
        if let Mode::Config { candidate, within } = mode {
            host = host.chars().take(self.system.prompt_name.unwrap_or(usize::MAX)).collect();
            let name = |most| candidate.iter().flat_map(|name| name.chars()).take(most).collect::<String>();
            let short = candidate.as_ref().map_or(String::new(), |_| format!("s-{}-", name(6)));
            values.insert("session".to_owned(), short);
            values.insert("name".to_owned(), name(6));
            values.insert(
                "within".to_owned(),
                within.as_ref().map_or(String::new(), |within| within.typed.clone()),
            );
        }
        values.insert("host".to_owned(), host);
        fill(prompt, &values)
    }

    fn is_secret(&self, session: u32) -> bool {
        let asking = self.sessions.get(&session).and_then(|session| session.asking);
        matches!(asking, Some(Asking::Secret { .. }))
    }

    fn rows(&self, session: u32) -> usize {
        self.sessions.get(&session).map_or(0, |session| session.rows)
    }

    fn columns(&self, session: u32) -> usize {
        self.sessions.get(&session).map_or(0, |session| session.columns)
    }

    fn enter(&mut self, session: u32, line: &str, now: Instant) -> Reply {
        match self.sessions.get(&session).and_then(|session| session.asking) {
            Some(asking) => self.answer(session, asking, line),
            None => self.line(session, line, now),
        }
    }

    fn expire(&mut self, now: Instant) {
        if let Some(pending) = self.pending.take_if(|pending| pending.deadline <= now) {
            self.running = pending.before;
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.pending.as_ref().map(|pending| pending.deadline)
    }

    fn running(&self) -> String {
        self.running.text(&self.system, &self.variants)
    }

    fn startup(&self) -> String {
        self.startup.text(&self.system, &self.variants)
    }
}
