//! Command lines against patterns, word by word, with the abbreviations that a command line takes.
//!
//! A pattern is words: `show`, `<name:kind>`. A kind is `word`, `line` (the rest), `port`, `vlans` (a
//! list such as `1,5-9`), `time` (`h:mm:ss`), `1-4094` (a number in this range) or `a|b` (one of these
//! words).

use std::collections::{BTreeMap, BTreeSet};

use super::ports::Ports;
use super::vlans;

/// The values of a pattern's parameters, as the device understands them: whole words, ports by their
/// full names.
pub(super) type Values = BTreeMap<String, String>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Element>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Element {
    Word(String),
    Value(String, Kind),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Word,
    Line,
    Port,
    Vlans,
    Time,
    Number(u64, u64),
    Of(Vec<String>),
}

/// What a line is among a set of patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Matched<T> {
    Found(T, Values),
    Incomplete,
    Ambiguous,
    /// From this byte on nothing fits.
    Invalid(usize),
    /// At this byte is a list of VLANs, but not of any that there are.
    BadVlans(usize),
}

/// How well a word fits an element.
enum Fit {
    /// A word by its full name, or as the only way to write a value.
    Exact,
    /// The beginning of this word.
    Begins(String),
    Value,
}

impl Pattern {
    /// # Errors
    /// A kind that does not exist.
    pub fn new(text: &str) -> Result<Self, String> {
        text.split_whitespace().map(Element::new).collect::<Result<_, _>>().map(Self)
    }

    /// With this word in front.
    pub fn after(&self, word: &str) -> Self {
        let first = Element::Word(word.to_owned());
        Self(std::iter::once(first).chain(self.0.iter().cloned()).collect())
    }

    /// With this word behind.
    pub fn then(mut self, word: &str) -> Self {
        self.0.push(Element::Word(word.to_owned()));
        self
    }

    /// With this word before the last element.
    pub fn before_last(&self, word: &str) -> Self {
        let mut pattern = self.clone();
        pattern.0.insert(self.0.len().saturating_sub(1), Element::Word(word.to_owned()));
        pattern
    }

    /// The words before the first value.
    pub fn words(&self) -> Self {
        let is_word = |element: &&Element| matches!(element, Element::Word(_));
        Self(self.0.iter().take_while(is_word).cloned().collect())
    }
}

impl Element {
    fn new(text: &str) -> Result<Self, String> {
        let Some(inner) = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')) else {
            return Ok(Self::Word(text.to_owned()));
        };
        let (name, kind) = inner.split_once(':').ok_or_else(|| format!("{text} has no kind"))?;
        let kind = match kind {
            "word" => Kind::Word,
            "line" => Kind::Line,
            "port" => Kind::Port,
            "vlans" => Kind::Vlans,
            "time" => Kind::Time,
            _ if kind.contains('|') => Kind::Of(kind.split('|').map(str::to_owned).collect()),
            _ => {
                let range =
                    kind.split_once('-').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
                let (from, to) = range.ok_or_else(|| format!("{text} has no kind"))?;
                Kind::Number(from, to)
            }
        };
        Ok(Self::Value(name.to_owned(), kind))
    }

    fn fit(&self, word: &str, ports: &Ports) -> Option<(Fit, Option<String>)> {
        let lower = word.to_ascii_lowercase();
        let value = |value: String| Some((Fit::Value, Some(value)));
        match self {
            Self::Word(own) if *own.to_ascii_lowercase() == lower => Some((Fit::Exact, None)),
            Self::Word(own) if own.to_ascii_lowercase().starts_with(&lower) => {
                Some((Fit::Begins(own.clone()), None))
            }
            Self::Word(_) => None,
            Self::Value(_, Kind::Of(words)) => match words.iter().find(|own| **own == lower) {
                Some(own) => Some((Fit::Exact, Some(own.clone()))),
                None => {
                    let begun: Vec<_> = words.iter().filter(|own| own.starts_with(&lower)).collect();
                    let [own] = begun[..] else { return None };
                    Some((Fit::Begins(own.clone()), Some(own.clone())))
                }
            },
            Self::Value(_, Kind::Word | Kind::Line) => value(word.to_owned()),
            Self::Value(_, Kind::Port) => value(ports.full(word)?),
            Self::Value(_, Kind::Vlans) => vlans::parse(word).and_then(|_| value(word.to_owned())),
            Self::Value(_, Kind::Time) => seconds(word).and_then(|_| value(word.to_owned())),
            Self::Value(_, Kind::Number(from, to)) => {
                let number: u64 = word.parse().ok()?;
                (*from..=*to).contains(&number).then(|| (Fit::Value, Some(number.to_string())))
            }
        }
    }
}

/// `0:05:00` or `00:05:00`, in seconds.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let parts: Vec<u64> = text.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hours, minutes, seconds] = parts[..] else { return None };
    (minutes < 60 && seconds < 60).then_some(hours * 3600 + minutes * 60 + seconds)
}

/// Finds the pattern that `line` is.
pub(super) fn parse<'p, T: Clone>(
    patterns: impl IntoIterator<Item = (&'p Pattern, T)>,
    line: &str,
    ports: &Ports,
) -> Matched<T> {
    let mut open: Vec<(&[Element], T, Values)> =
        patterns.into_iter().map(|(pattern, of)| (&pattern.0[..], of, Values::new())).collect();
    let mut at = 0;
    loop {
        let rest = &line[at..];
        let begin = at + rest.len() - rest.trim_start().len();
        let text = line[begin..].trim_end();
        if text.is_empty() {
            break;
        }
        let word = text.split_whitespace().next().unwrap_or_default();
        let mut next = Vec::new();
        let mut begun = BTreeSet::new();
        let mut best = 0;
        let wants_vlans = |(elements, ..): &(&[Element], T, Values)| {
            matches!(elements.first(), Some(Element::Value(_, Kind::Vlans)))
        };
        let is_list = word.starts_with(|c: char| c.is_ascii_digit());
        let nothing = match is_list && open.iter().any(wants_vlans) {
            true => Matched::BadVlans(begin),
            false => Matched::Invalid(begin),
        };
        for (elements, of, values) in open {
            let Some((element, rest)) = elements.split_first() else { continue };
            // `interface gigabitEthernet 0/1` is as good as `interface gi0/1`.
            let split = matches!(element, Element::Value(_, Kind::Port)).then(|| port_of_two(text)).flatten();
            let (word, used) = match (&split, element) {
                (Some((joined, used)), _) => (joined.as_str(), *used),
                (None, Element::Value(_, Kind::Line)) => (text, text.len()),
                (None, _) => (word, word.len()),
            };
            let Some((fit, value)) = element.fit(word, ports) else { continue };
            let rank = match fit {
                Fit::Exact => 3,
                Fit::Begins(own) => {
                    begun.insert(own);
                    2
                }
                Fit::Value => 1,
            };
            best = best.max(rank);
            let mut values = values;
            if let (Element::Value(name, _), Some(value)) = (element, value) {
                values.insert(name.clone(), value);
            }
            next.push((rank, used, (rest, of, values)));
        }
        next.retain(|(rank, ..)| *rank == best);
        if best == 2 && begun.len() > 1 {
            return Matched::Ambiguous;
        }
        let Some(used) = next.iter().map(|(_, used, _)| *used).max() else { return nothing };
        open = next.into_iter().filter(|(_, own, _)| *own == used).map(|(.., state)| state).collect();
        at = begin + used;
    }
    match open.into_iter().find(|(elements, ..)| elements.is_empty()) {
        Some((_, of, values)) => Matched::Found(of, values),
        None => Matched::Incomplete,
    }
}

/// The first two words as one, where they are a type and a number.
fn port_of_two(text: &str) -> Option<(String, usize)> {
    let (kind, rest) = text.split_once(char::is_whitespace)?;
    let number = rest.split_whitespace().next()?;
    let is_port = kind.chars().all(|c| c.is_ascii_alphabetic() || c == '-')
        && number.starts_with(|c: char| c.is_ascii_digit());
    let used = text.len() - rest.trim_start().len() + number.len();
    is_port.then(|| (format!("{kind}{number}"), used))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Matched<usize> {
        let texts = [
            "configure terminal",
            "copy running-config startup-config",
            "interface <port:port>",
            "vlan <vlan:1-4094>",
            "show running-config",
            "show running-config interface <port:port>",
            "show vlan brief",
            "description <text:line>",
            "switchport mode <mode:access|trunk>",
            "commit timer <time:time>",
        ];
        let patterns: Vec<Pattern> = texts.iter().map(|text| Pattern::new(text).unwrap()).collect();
        let ports =
            Ports::new(["GigabitEthernet".to_owned(), "Vlan".to_owned()], ["GigabitEthernet0/1".to_owned()]);
        parse(patterns.iter().zip(0..), line, &ports)
    }

    fn found(at: usize, values: &[(&str, &str)]) -> Matched<usize> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Matched::Found(at, values.iter().map(own).collect())
    }

    #[test]
    fn lines() {
        assert_eq!(run("conf t"), found(0, &[]));
        assert_eq!(run("co"), Matched::Ambiguous);
        assert_eq!(run("int gi0/1"), found(2, &[("port", "GigabitEthernet0/1")]));
        assert_eq!(run("interface GigabitEthernet 0/1"), found(2, &[("port", "GigabitEthernet0/1")]));
        assert_eq!(run("int gi0/9"), Matched::Invalid(4));
        assert_eq!(run("vlan 10"), found(3, &[("vlan", "10")]));
        assert_eq!(run("vlan 4095"), Matched::Invalid(5));
        assert_eq!(run("vlan"), Matched::Incomplete);
        assert_eq!(run("sh run"), found(4, &[]));
        assert_eq!(run("show run int g0/1"), found(5, &[("port", "GigabitEthernet0/1")]));
        assert_eq!(run("description  a  b "), found(7, &[("text", "a  b")]));
        assert_eq!(run("switchport mode tr"), found(8, &[("mode", "trunk")]));
        assert_eq!(run("switchport mode x"), Matched::Invalid(16));
        assert_eq!(run("commit timer 0:05:00"), found(9, &[("time", "0:05:00")]));
        assert_eq!(run("commit timer 0:61:00"), Matched::Invalid(13));
        assert_eq!(run("frobnicate"), Matched::Invalid(0));
        assert_eq!(run("configure terminal now"), Matched::Invalid(19));
        assert!(Pattern::new("vlan <vlan>").is_err());
    }
}
