//! What sessions see of the device.

use tokio::time::Instant;

use super::{Junos, Mode, Session};
use crate::sim::cli::os::{Os, Reply, filtered};
use crate::sim::cli::statements::{Statement, compared, set_text};
use crate::sim::cli::system::fill;

impl Os for Junos {
    fn open(&mut self) -> u32 {
        self.last += 1;
        let (rows, columns) = (self.system.rows, self.system.columns);
        let session = Session { mode: Mode::Operational, is_asked: false, rows, columns };
        self.sessions.insert(self.last, session);
        self.last
    }

    fn close(&mut self, session: u32) {
        self.leave(session);
        self.sessions.remove(&session);
    }

    fn prompt(&self, session: u32) -> String {
        let named = |statement: &Statement| {
            let words: Vec<&str> = statement.words().collect();
            if let ["system", "host-name", name] = words[..] { Some(name.to_owned()) } else { None }
        };
        let host = self.active().iter().find_map(named).unwrap_or_default();
        let mode = self.mode(session);
        if self.sessions.get(&session).is_some_and(|session| session.is_asked) {
            return self.says(if mode == Mode::Shared { "ask-exit" } else { "ask-discard" });
        }
        let name = if mode == Mode::Operational { "operational" } else { "configuration" };
        let prompt = self.system.prompts.get(name).map_or("", String::as_str);
        let pending = self.pending.as_ref().filter(|_| mode != Mode::Operational);
        let pending = pending.map_or(String::new(), |pending| {
            let minutes = [("minutes".to_owned(), pending.minutes.to_string())].into();
            fill(self.system.says("is-pending"), &minutes)
        });
        let values = [("user".to_owned(), self.user.clone()), ("host".to_owned(), host)];
        pending + &fill(prompt, &values.into())
    }

    fn rows(&self, session: u32) -> usize {
        self.sessions.get(&session).map_or(0, |session| session.rows)
    }

    fn columns(&self, _session: u32) -> usize {
        0
    }

    fn enter(&mut self, session: u32, line: &str, now: Instant) -> Reply {
        if self.sessions.get(&session).is_some_and(|session| session.is_asked) {
            return self.answer(session, line);
        }
        let mut parts = line.split(" | ");
        let command = parts.next().unwrap_or_default();
        let words: Vec<&str> = command.split_whitespace().collect();
        if words.is_empty() || command.trim_start().starts_with('#') {
            return Reply::default();
        }
        let mode = self.mode(session);
        let mut reply = match mode {
            Mode::Operational => self.operational(session, command, &words),
            _ if line.starts_with("set ") => self.configuration(session, line, &words, now),
            _ => self.configuration(session, command, &words, now),
        };
        if !words.contains(&"show") {
            return reply;
        }
        let of = |word: &str| words.iter().position(|own| *own == word).map_or(words.len(), |at| at + 1);
        let in_force = words.contains(&"configuration");
        let path = &words[if in_force { of("configuration") } else { of("show") }..];
        let path: Vec<String> = path.iter().map(|word| (*word).to_owned()).collect();
        for filter in parts.map(str::trim) {
            let config = if in_force { self.active() } else { self.candidate(session) };
            reply.text = match filter {
                "display set" => set_text(config, &path),
                "compare" => compared(self.active(), config),
                // A pattern with a bar in it stands between quotes.
                _ => match filtered(&reply.text, &filter.replace('"', "")) {
                    Some(text) => text,
                    None => return self.unknown(session, line, usize::MAX, "syntax"),
                },
            };
        }
        reply
    }

    fn expire(&mut self, now: Instant) {
        if let Some(pending) = self.pending.take_if(|pending| pending.deadline <= now) {
            if self.shared == *self.active() {
                self.shared = pending.before.clone();
            }
            self.active.insert(0, pending.before);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.pending.as_ref().map(|pending| pending.deadline)
    }

    fn running(&self) -> String {
        set_text(self.active(), &[])
    }

    fn startup(&self) -> String {
        self.running()
    }
}
