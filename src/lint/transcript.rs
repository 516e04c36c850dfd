//! Real output of a system, as its profile understands it. A transcript says where each part is from:
//!
//! ```text
//! # source: Command Reference, "switchport access vlan"
//! > switchport access vlan 5000
//! % Invalid input detected at '^' marker.
//! > switchport mode access
//! ```

use std::collections::BTreeSet;
use std::sync::LazyLock;

use minijinja::{Value, context};
use regex::Regex;

use crate::device::cli::ShellHabits;
use crate::device::language::{Expression, LineRule, ReadRule, SetTo, StateField};
use crate::device::{CliHabits, Language, Profile, Speaks};
use crate::openconfig::{Interface, PortState, Reported, port_of};
use crate::plan;
use crate::slice::Slice;
use crate::transport::cli::{Output, refusal, unexpected};
use crate::transport::netconf;
use crate::transport::{reported, understood};

/// One command and what it printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The command's line in the file, from 1.
    pub line: usize,
    /// Whether it is said where this is from.
    pub has_source: bool,
    pub command: String,
    pub output: String,
}

/// What a profile makes of one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The device refused; in its words.
    Refused(String),
    /// It was taken, and what it does; `configures`: by a line that templates may write.
    Accepted { does: String, configures: bool },
    /// What was read, a line each.
    Read(Vec<String>),
    /// The profile does not know what to make of it.
    Unknown(String),
}

/// A whole transcript, judged.
#[derive(Clone, Debug)]
pub struct Judged {
    pub entries: Vec<(Entry, Verdict)>,
    /// The first port that was read.
    pub port: Option<String>,
    /// The profile says how ports are asked for their state, and no output shows it.
    pub is_without_state: bool,
    /// The profile reads nothing back.
    pub is_unread: bool,
}

const SOURCE: &str = "# source:";

/// How clients print what a gNMI target or a NETCONF server refuses.
static STATUS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("^(?:rpc error: code = |[A-Z_]{5,}: |<rpc-error)").expect("it is a pattern"));

/// The commands of a transcript, in order. What stands before the first is left out.
pub fn entries(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let (mut has_source, mut is_open) = (false, false);
    for (n, line) in text.lines().enumerate() {
        if let Some(source) = line.strip_prefix(SOURCE) {
            (has_source, is_open) = (!source.trim().is_empty(), false);
        } else if let Some(command) = line.strip_prefix("> ") {
            let (line, command) = (n + 1, command.trim_end().to_owned());
            entries.push(Entry { line, has_source, command, output: String::new() });
            is_open = true;
        } else if let (true, Some(entry)) = (is_open, entries.last_mut()) {
            entry.output.push_str(line);
            entry.output.push('\n');
        }
    }
    for entry in &mut entries {
        let kept = entry.output.trim_end().len();
        entry.output.truncate(kept);
    }
    entries
}

/// Judges every command of a transcript with the profile's own code.
pub fn judge(text: &str, profile: &Profile, language: &Language) -> Judged {
    let habits = match &profile.speaks {
        Speaks::Cli(habits) => Some(&**habits),
        Speaks::Netconf(_) | Speaks::Gnmi(_) => None,
    };
    let is_xml = matches!(profile.speaks, Speaks::Netconf(_));
    let mut judge =
        Judge { profile, language, is_xml, habits, seen: Vec::new(), port: None, has_state: false };
    let entries = entries(text).into_iter();
    let entries = entries.map(|entry| {
        let verdict = judge.verdict(&entry);
        (entry, verdict)
    });
    let entries = entries.collect();
    // Only on a command line is state read by them.
    let asks = habits.is_some() && !language.state.reads.is_empty();
    let is_without_state = asks && !judge.has_state;
    let is_unread = profile.speaks.not_read().is_some();
    Judged { entries, port: judge.port, is_without_state, is_unread }
}

impl Judged {
    /// What is wrong, each with its line; line 1 stands for the file as a whole.
    pub fn mistakes(&self) -> Vec<(usize, String)> {
        let mut mistakes = Vec::new();
        for (entry, verdict) in &self.entries {
            if !entry.has_source {
                mistakes.push((entry.line, format!("no `{SOURCE}` line before `{}`", entry.command)));
            }
            if let Verdict::Unknown(why) = verdict {
                mistakes.push((entry.line, format!("`{}`: {why}", entry.command)));
            }
        }
        let has = |kind: fn(&Verdict) -> bool| self.entries.iter().any(|(_, verdict)| kind(verdict));
        for (kind, is_there) in [
            (
                "line that configures and is taken",
                has(|v| matches!(v, Verdict::Accepted { configures: true, .. })),
            ),
            ("command that is refused", has(|v| matches!(v, Verdict::Refused(_)))),
            (
                "command that reads a port or VLANs back",
                self.is_unread || has(|v| matches!(v, Verdict::Read(_))),
            ),
        ] {
            if !is_there {
                mistakes.push((1, format!("it has no {kind}")));
            }
        }
        if self.is_without_state {
            mistakes.push((1, "it has no command of [[cli.state]]".to_owned()));
        }
        mistakes
    }

    /// Everything, as a reviewer reads it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (entry, verdict) in &self.entries {
            text += &format!("{}: {}\n", entry.line, entry.command);
            match verdict {
                Verdict::Refused(why) => text += &format!("    refused: {why}\n"),
                Verdict::Accepted { does, .. } => text += &format!("    taken: {does}\n"),
                Verdict::Read(what) if what.is_empty() => text += "    read: nothing\n",
                Verdict::Read(what) => what.iter().for_each(|what| text += &format!("    read: {what}\n")),
                Verdict::Unknown(why) => text += &format!("    NOT UNDERSTOOD: {why}\n"),
            }
        }
        text
    }
}

struct Judge<'h> {
    profile: &'h Profile,
    language: &'h Language,
    /// Its answers are XML.
    is_xml: bool,
    /// Of a command line, what there is besides.
    habits: Option<&'h CliHabits>,
    /// The outputs that belong to the reading that is going on.
    seen: Vec<(&'h ReadRule, String)>,
    port: Option<String>,
    has_state: bool,
}

impl<'h> Judge<'h> {
    fn verdict(&mut self, entry: &Entry) -> Verdict {
        let output = Output { text: entry.output.clone(), ..Output::default() };
        let refused = match self.habits {
            Some(habits) => {
                let is_line = || self.language.line_rule(&entry.command).is_some();
                let unexpected = || unexpected(habits, &entry.command, &output).filter(|_| is_line());
                let refused = refusal(habits, &entry.command, &output).or_else(unexpected);
                refused.map(|error| error.message.unwrap_or_default())
            }
            None => STATUS
                .is_match(&output.text)
                .then(|| output.text.lines().next().unwrap_or_default().to_owned()),
        };
        if let Some(why) = refused {
            self.seen.clear();
            return Verdict::Refused(why);
        }
        let language = self.language;
        let state = self.reading(&language.state.reads, entry);
        let state = state.map(|(rule, port)| self.report(rule, port.as_deref(), &entry.output));
        if let Some((rule, port)) = self.reading(&language.reads, entry) {
            return match (self.read(rule, port, entry), state) {
                (Verdict::Read(read), Some(Verdict::Read(state))) => Verdict::Read([read, state].concat()),
                (Verdict::Read(_), Some(wrong)) => wrong,
                (verdict, _) => verdict,
            };
        }
        self.seen.clear();
        if let Some(state) = state {
            return state;
        }
        let lines = match self.habits {
            Some(habits) => split(&entry.command, habits),
            None => vec![entry.command.clone()],
        };
        let does: Option<Vec<String>> =
            lines.iter().map(|line| self.language.line_rule(line).map(|r| what(r, line))).collect();
        match does {
            Some(does) => Verdict::Accepted { does: does.join("; "), configures: true },
            None => match self.other(&entry.command) {
                Some(does) => Verdict::Accepted { does: does.to_owned(), configures: false },
                None => {
                    let why = "not refused, and neither a line nor a command of the profile: `refusals`, \
                               `lines` or `reads` lacks it";
                    Verdict::Unknown(why.to_owned())
                }
            },
        }
    }

    /// The rule whose command this is, and the port that it is about; none: every port, or none.
    fn reading(&self, rules: &'h [ReadRule], entry: &Entry) -> Option<(&'h ReadRule, Option<String>)> {
        let is_it = |command: &Expression, context: &Value| {
            command.fact(context).ok().flatten().is_some_and(|text| text == entry.command)
        };
        let every = context! { ports => () };
        for rule in rules {
            let of_all = rule.all.as_ref().is_some_and(|all| is_it(all, &every));
            if of_all || is_it(&rule.command, &every) {
                return Some((rule, None));
            }
            let of_port = |port: &&String| {
                let name = port.as_str().to_owned();
                is_it(&rule.command, &context! { port => name.clone(), ports => vec![name] })
            };
            if !rule.of_table
                && let Some(port) = self.candidates(rule, entry).iter().find(of_port)
            {
                return Some((rule, Some(port.clone())));
            }
        }
        None
    }

    /// What may be the port that a command names: what stands where the rule has it, and the words.
    fn candidates(&self, rule: &ReadRule, entry: &Entry) -> Vec<String> {
        const PLACE: &str = "PORT";
        let template = rule.command.fact(&context! { port => PLACE, ports => [PLACE] }).ok().flatten();
        let between = template.as_deref().and_then(|text| {
            let (before, after) = text.split_once(PLACE)?;
            entry.command.strip_prefix(before)?.strip_suffix(after)
        });
        let words = entry.command.split_whitespace().chain(entry.output.split_whitespace());
        let words = words.map(|word| word.trim_matches(|c| "\"',:;()[]".contains(c)));
        let all: BTreeSet<&str> = words.filter(|word| self.language.values.port.is_match(word)).collect();
        between.into_iter().chain(all).map(str::to_owned).collect()
    }

    fn read(&mut self, rule: &'h ReadRule, port: Option<String>, entry: &Entry) -> Verdict {
        let Entry { command, output, .. } = entry;
        // What only adds belongs to what was read just before.
        if !rule.only_adds {
            self.seen.clear();
        }
        let output = match self.is_xml {
            true => netconf::told(output, command, self.language),
            false => Ok(output.to_owned()),
        };
        let output = match output {
            Ok(output) => output,
            Err(why) => return Verdict::Unknown(why),
        };
        self.seen.push((rule, output.clone()));
        // What only adds may read the same once more.
        let same = |other: &&ReadRule| {
            other.only_adds && other.place != rule.place && other.command.source() == rule.command.source()
        };
        self.seen.extend(self.language.reads.iter().filter(same).map(|other| (other, output.clone())));
        let last = self.port.clone().filter(|_| rule.only_adds && self.seen.len() > 1);
        let port = port.or(last);
        let outputs: Vec<(&ReadRule, &str)> =
            self.seen.iter().map(|(rule, text)| (*rule, text.as_str())).collect();
        let slice = match understood(&outputs, port.as_deref(), self.profile, self.language) {
            Ok(slice) => slice,
            Err(why) => return Verdict::Unknown(why),
        };
        let read = words(&slice);
        if let (Some(port), true) = (&port, read.is_empty()) {
            return Verdict::Unknown(format!("its output says nothing of port {port}"));
        }
        let first = ports(&slice).into_iter().next();
        self.port = self.port.take().or(port.or(first).filter(|_| !rule.of_table));
        Verdict::Read(read)
    }

    /// What ports report, a line each.
    fn report(&mut self, rule: &ReadRule, port: Option<&str>, output: &str) -> Verdict {
        let slice = match reported(rule, output, port, self.profile, self.language) {
            Ok(slice) => slice,
            Err(why) => return Verdict::Unknown(why),
        };
        self.has_state |= !slice.is_empty();
        let line = |port: &String| {
            let reported = Reported::new(port);
            let word = |(name, field): (&str, StateField)| {
                Some(format!("{name} {}", slice.leaf(field.of(&reported))?))
            };
            let words: Vec<String> = StateField::ALL.into_iter().filter_map(word).collect();
            format!("{port} reports {}", words.join(", "))
        };
        Verdict::Read(ports(&slice).iter().map(line).collect())
    }

    /// What else the profile says, besides lines.
    fn other(&self, command: &str) -> Option<&'static str> {
        let habits = self.habits?;
        let is = |known: &String| known == command;
        if habits.save.iter().any(is) {
            return Some("saves");
        }
        if let Some(staging) = &habits.staging {
            let (timer, none) = (staging.timer.as_ref(), Vec::new());
            let of_timer =
                |pick: fn(&crate::device::cli::TimerHabits) -> &Vec<Expression>| timer.map_or(&none, pick);
            let fits = |commands: &Vec<Expression>| commands.iter().any(|known| fits(known, command));
            for (what, commands) in [
                ("enters the candidate", &staging.enter),
                ("throws the candidate away", &staging.discard),
                ("commits", &staging.commit),
                ("commits with a timer", of_timer(|timer| &timer.commit)),
                ("confirms", of_timer(|timer| &timer.confirm)),
                ("cancels", of_timer(|timer| &timer.cancel)),
            ] {
                if fits(commands) {
                    return Some(what);
                }
            }
        }
        let ShellHabits::Terminal(terminal) = &habits.shell else { return None };
        let mode = |known: &Option<String>| known.as_ref().is_some_and(is);
        match () {
            () if mode(&terminal.enable) => Some("enters a privileged mode"),
            () if mode(&terminal.configure) => Some("enters the configuration mode"),
            () if mode(&terminal.leave) => Some("leaves the configuration mode"),
            () if terminal.setup.iter().any(|setup| setup.command == command) => Some("sets the terminal up"),
            () => None,
        }
    }
}

/// Whether a command is what a template gives for some id and time.
fn fits(template: &Expression, command: &str) -> bool {
    let mut pattern = String::from("^");
    let mut rest = template.source();
    while let Some((before, after)) = rest.split_once("{{") {
        pattern += &regex::escape(before);
        pattern += r"[\w:.\-]+";
        rest = after.split_once("}}").map_or("", |(_, after)| after);
    }
    pattern += &regex::escape(rest);
    pattern.push('$');
    Regex::new(&pattern).is_ok_and(|pattern| pattern.is_match(command))
}

/// The lines that a command was made of.
fn split(command: &str, habits: &CliHabits) -> Vec<String> {
    let commands: Vec<&str> = match &habits.chain {
        Some(chain) => command.split(chain.as_str()).collect(),
        None => vec![command],
    };
    let mut lines = Vec::new();
    for command in commands {
        let word = command.split(' ').next().unwrap_or_default();
        match habits.joined.iter().any(|joined| joined == word) {
            true => {
                let mut parts = command.split(" -- ");
                lines.extend(parts.next().map(str::to_owned));
                lines.extend(parts.map(|part| format!("{word} {part}")));
            }
            false => lines.push(command.to_owned()),
        }
    }
    lines
}

/// What a rule makes of a line, in words.
fn what(rule: &LineRule, line: &str) -> String {
    let mut does: Vec<String> = Vec::new();
    if let Some(captures) = rule.pattern.captures(line) {
        let groups = rule.pattern.capture_names().flatten();
        does.extend(groups.filter_map(|name| Some(format!("{name} {}", captures.name(name)?.as_str()))));
    }
    does.extend(rule.set.iter().map(|(field, to)| match to {
        SetTo::Text(text) => format!("{} {text}", field.name()),
        SetTo::ThisVlan => format!("{} this VLAN", field.name()),
    }));
    does.extend(rule.unset.iter().map(|field| format!("no {}", field.name())));
    does.extend(rule.deletes_vlan.then(|| "deletes it".to_owned()));
    does.extend(rule.leaves.then(|| "the section ends".to_owned()));
    if does.is_empty() { "changes nothing".to_owned() } else { does.join(", ") }
}

fn ports(slice: &Slice) -> Vec<String> {
    let names: BTreeSet<String> =
        slice.iter().filter_map(|(path, _)| port_of(path).map(str::to_owned)).collect();
    names.into_iter().collect()
}

/// What a slice says, a line each port; VLANs on one.
fn words(slice: &Slice) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for port in ports(slice) {
        let mut text = format!("{port}: {}", plan::describe_port(slice, &port));
        let state = PortState::of(slice, &port).unwrap_or_default();
        text += &state.description.map(|text| format!(", description {text:?}")).unwrap_or_default();
        text += &state.mtu.map(|mtu| format!(", mtu {mtu}")).unwrap_or_default();
        let on = |text: &str| text.replace("true", "on").replace("false", "off");
        let edge = state.stp_edge.map(|edge| format!(", STP edge {}", on(edge.as_str())));
        let guard = state.bpdu_guard.map(|guard| format!(", BPDU guard {}", on(&guard.to_string())));
        text += &(edge.unwrap_or_default() + &guard.unwrap_or_default());
        let lag = slice.leaf(&Interface::new(&port).aggregate_id);
        text += &lag.map(|lag| format!(", member of {lag}")).unwrap_or_default();
        words.push(text);
    }
    let mut vlans: Vec<(u16, String)> = Vec::new();
    for (path, _) in slice.iter().filter(|(path, _)| path.is_key()) {
        let Some((vlan, entry)) = crate::openconfig::table_entry_of(path) else { continue };
        let name = slice.leaf(&entry.child("config").child("name"));
        vlans.push((vlan.as_u16(), name.map_or(vlan.to_string(), |name| format!("{vlan} {name}"))));
    }
    if !vlans.is_empty() {
        vlans.sort();
        let vlans: Vec<String> = vlans.into_iter().map(|(_, words)| words).collect();
        words.push(format!("VLANs {}", vlans.join(", ")));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_belong_to_the_command_before_and_end_at_a_source() {
        let text = "# source: a manual\n> show x\n x 1\n\n\n> set y\n# source:\n> no z\nerror: z\n";
        let found = entries(text);
        let short: Vec<_> = found.iter().map(|e| (e.line, e.has_source, &*e.command, &*e.output)).collect();
        assert_eq!(
            short,
            [(2, true, "show x", " x 1"), (6, true, "set y", ""), (8, false, "no z", "error: z")]
        );
    }

    #[test]
    fn a_command_is_known_by_its_template() {
        let template = Expression::text("commit confirmed {{ minutes }} comment {{ id }}").unwrap();
        assert!(fits(&template, "commit confirmed 5 comment mercury-1"));
        assert!(!fits(&template, "commit confirmed 5 comment a b") && !fits(&template, "commit"));
    }
}
