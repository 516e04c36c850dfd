//! A configuration of statements, as Junos has it: what may be set, and how it is shown.

use std::collections::{BTreeMap, BTreeSet};

use super::ports::Natural;

/// Everything that is set. In the order in which the device shows it.
pub(super) type Config = BTreeSet<Statement>;

/// One statement: its words, and where each stands among others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Statement(Vec<Word>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Word {
    /// Words of the system stand in the order of its data, the operator's in their own.
    rank: usize,
    text: Natural,
    /// It stands on one line with the word before.
    glued: bool,
}

/// All statements that there are.
#[derive(Clone, Debug)]
pub(super) struct Grammar {
    patterns: Vec<Vec<Element>>,
    /// Words whose values are many.
    lists: BTreeSet<String>,
}

#[derive(Clone, Debug)]
struct Element {
    glued: bool,
    rank: usize,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Own(String),
    Any,
    Number(u64, u64),
    Of(Vec<String>),
}

/// Why words are no statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoStatement {
    /// From this word on nothing fits.
    Syntax(usize),
    /// This value is out of this range.
    Range(String, u64, u64),
    Incomplete,
}

impl Grammar {
    /// In a pattern, `~` binds two words that stand on one line.
    pub fn new(patterns: &[String], lists: &[String]) -> Self {
        let mut ranks = BTreeMap::new();
        let mut element = |text: &str, glued| {
            let next = ranks.len() + 1;
            let kind = match text.strip_prefix('<').and_then(|text| text.strip_suffix('>')) {
                None => Kind::Own(text.to_owned()),
                Some("any") => Kind::Any,
                Some(kind) => {
                    match kind.split_once('-').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?))) {
                        Some((from, to)) => Kind::Number(from, to),
                        None => Kind::Of(kind.split('|').map(str::to_owned).collect()),
                    }
                }
            };
            let rank =
                if let Kind::Own(word) = &kind { *ranks.entry(word.clone()).or_insert(next) } else { 0 };
            Element { glued, rank, kind }
        };
        let mut pattern = |text: &String| {
            let bound = |words: &str| -> Vec<Element> {
                words.split('~').enumerate().map(|(at, word)| element(word, at > 0)).collect()
            };
            text.split_whitespace().flat_map(bound).collect()
        };
        Self { patterns: patterns.iter().map(&mut pattern).collect(), lists: lists.iter().cloned().collect() }
    }

    /// The statement of these words.
    pub fn statement(&self, words: &[String]) -> Result<Statement, NoStatement> {
        let mut best = NoStatement::Syntax(0);
        let mut farthest = 0;
        for pattern in &self.patterns {
            let fits = pattern.iter().zip(words).take_while(|(element, word)| element.fits(word)).count();
            if fits == pattern.len() && fits == words.len() {
                let word = |(element, word): (&Element, &String)| Word {
                    rank: element.rank,
                    text: Natural(word.clone()),
                    glued: element.glued,
                };
                return Ok(Statement(pattern.iter().zip(words).map(word).collect()));
            }
            if fits < farthest {
                continue;
            }
            farthest = fits;
            best = match (words.get(fits), pattern.get(fits).map(|element| &element.kind)) {
                (None, _) => NoStatement::Incomplete,
                (Some(word), Some(Kind::Number(from, to))) if word.bytes().all(|b| b.is_ascii_digit()) => {
                    NoStatement::Range(word.clone(), *from, *to)
                }
                _ if best == NoStatement::Incomplete => best,
                _ => NoStatement::Syntax(fits),
            };
        }
        Err(best)
    }

    /// Sets it: one value takes another's place, but for lists.
    pub fn set(&self, config: &mut Config, statement: Statement) {
        let words = &statement.0;
        let is_value = words.len() > 1 && words.last().is_some_and(|word| word.glued && word.rank == 0);
        let name = words.len().checked_sub(2).and_then(|at| words.get(at));
        let is_leaf = is_value
            && !self.patterns.iter().any(|pattern| pattern.len() > words.len() && statement.begins(pattern));
        if is_leaf && !name.is_some_and(|name| self.lists.contains(&name.text.0)) {
            let before = &words[..words.len() - 1];
            config.retain(|other| other.0.len() != words.len() || other.0[..before.len()] != *before);
        }
        config.insert(statement);
    }

    /// Whether a statement could begin with these words.
    pub fn is_beginning(&self, words: &[String]) -> bool {
        let fits = |pattern: &Vec<Element>| {
            pattern.len() >= words.len()
                && pattern.iter().zip(words).all(|(element, word)| element.fits(word))
        };
        self.patterns.iter().any(fits)
    }
}

impl Element {
    fn fits(&self, word: &str) -> bool {
        match &self.kind {
            Kind::Own(own) => own == word,
            Kind::Any => true,
            Kind::Number(from, to) => word.parse().is_ok_and(|number: u64| (*from..=*to).contains(&number)),
            Kind::Of(words) => words.iter().any(|own| own == word),
        }
    }
}

impl Statement {
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|word| word.text.0.as_str())
    }

    pub fn starts_with(&self, words: &[String]) -> bool {
        self.0.len() >= words.len() && self.words().zip(words).all(|(own, word)| own == word)
    }

    fn begins(&self, pattern: &[Element]) -> bool {
        self.words().zip(pattern).all(|(word, element)| element.fits(word))
    }

    /// The lines that it stands on, one in the other.
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in &self.0 {
            match lines.last_mut() {
                Some(last) if word.glued => *last += &format!(" {}", quoted(&word.text.0)),
                _ => lines.push(quoted(&word.text.0)),
            }
        }
        lines
    }
}

fn quoted(word: &str) -> String {
    match word.is_empty() || word.contains(|c: char| c.is_whitespace() || "{};#[]".contains(c)) {
        true => format!("\"{word}\""),
        false => word.to_owned(),
    }
}

/// A line as words; those in quotes are one. None: a quote is not closed.
pub(super) fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(inner) => inner.split_once('"')?,
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Some(words)
}

/// `set` commands that make what is below `above`.
pub(super) fn set_text(config: &Config, above: &[String]) -> String {
    let shown = config.iter().filter(|statement| statement.starts_with(above));
    let has_more = |statement: &Statement| {
        let inside =
            |other: &Statement| other.0.len() > statement.0.len() && other.0.starts_with(&statement.0);
        config.iter().any(inside)
    };
    let line = |statement: &Statement| {
        let words: Vec<String> = statement.words().map(quoted).collect();
        format!("set {}\n", words.join(" "))
    };
    shown.filter(|statement| !has_more(statement)).map(line).collect()
}

/// A configuration as it is nested.
#[derive(Default)]
struct Block(Vec<(String, Block)>);

impl Block {
    fn new(config: &Config) -> Self {
        let mut all = Self::default();
        for statement in config {
            let mut block = &mut all;
            for line in statement.lines() {
                let at = block.0.iter().position(|(own, _)| *own == line).unwrap_or_else(|| {
                    block.0.push((line, Self::default()));
                    block.0.len() - 1
                });
                block = &mut block.0[at].1;
            }
        }
        all
    }

    fn text(&self, depth: usize, sign: &str) -> String {
        let indent = format!("{sign}{}", "    ".repeat(depth));
        let mut text = String::new();
        for (line, inner) in &self.0 {
            match inner.0.is_empty() {
                true => text += &format!("{indent}{line};\n"),
                false => text += &format!("{indent}{line} {{\n{}{indent}}}\n", inner.text(depth + 1, sign)),
            }
        }
        text
    }

    fn find(&self, line: &str) -> Option<&Self> {
        self.0.iter().find(|(own, _)| own == line).map(|(_, inner)| inner)
    }

    /// What makes `self` of `old`.
    fn changes(&self, old: &Self, path: &str) -> String {
        let mut here = String::new();
        let mut below = String::new();
        let only = |line: &str, inner: &Self, sign: &str| {
            let whole = Self(vec![(line.to_owned(), Self(Vec::new()))]);
            match inner.0.is_empty() {
                true => whole.text(0, &format!("{sign}  ")),
                false => format!("{sign}   {line} {{\n{}{sign}   }}\n", inner.text(1, &format!("{sign}   "))),
            }
        };
        for (line, inner) in &old.0 {
            match self.find(line) {
                None => here += &only(line, inner, "-"),
                Some(new) => below += &new.changes(inner, &format!("{path} {line}")),
            }
        }
        for (line, inner) in self.0.iter().filter(|(line, _)| old.find(line).is_none()) {
            here += &only(line, inner, "+");
        }
        match here.is_empty() {
            true => below,
            false => format!("[edit{path}]\n{here}{below}"),
        }
    }
}

/// The configuration in braces; only what is below `above`.
pub(super) fn braces(config: &Config, above: &[String]) -> String {
    let below: Config = config
        .iter()
        .filter(|statement| statement.0.len() > above.len() && statement.starts_with(above))
        .map(|statement| {
            let mut words = statement.0[above.len()..].to_vec();
            words[0].glued = false;
            Statement(words)
        })
        .collect();
    Block::new(&below).text(0, "")
}

/// What `show | compare` says.
pub(super) fn compared(old: &Config, new: &Config) -> String {
    Block::new(new).changes(&Block::new(old), "")
}
