//! Reading TOML that a person wrote. Every value knows where it stands, every mistake is kept
//! instead of stopping at the first, and a key nobody asked for is a mistake.
//!
//! A reading function asks a [`Table`] for keys and gets `None` for what is absent or wrong; what
//! was wrong is in [`Problems`] by then. Tables are lent to closures, and when a closure returns,
//! the keys that it did not ask for are reported: asking is what makes a key known.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

pub use super::item::Item;

/// The most that is told of one file that is no TOML: after a bracket that is not closed, each line is one.
const MOST_OF_SYNTAX: usize = 5;

/// One mistake, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigError {
    pub file: PathBuf,
    /// Line and column in characters, both from 1; none when the file could not be read.
    pub place: Option<(usize, usize)>,
    /// The key, such as `rpc.listen` or `device[2] leaf3: key_file`; empty for a syntax error.
    pub key: String,
    pub reason: String,
}

/// Everything that is wrong, sorted by file and place; one line each when printed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// The mistakes found so far, over all files of one load.
#[derive(Debug, Default)]
pub struct Problems {
    found: RefCell<Vec<ConfigError>>,
    /// Every key that was asked for, as `section.key`.
    #[cfg(test)]
    pub(crate) asked: RefCell<BTreeSet<String>>,
}

impl Problems {
    /// Records that `file` as a whole cannot be used.
    pub fn about_file(&self, file: &Path, reason: impl fmt::Display) {
        self.add(ConfigError {
            file: file.to_owned(),
            place: None,
            key: String::new(),
            reason: reason.to_string(),
        });
    }

    /// Records a mistake in a line of a file that is not TOML.
    pub fn about_line(&self, file: &Path, line: usize, reason: impl fmt::Display) {
        let (place, key) = (Some((line, 1)), String::new());
        self.add(ConfigError { file: file.to_owned(), place, key, reason: reason.to_string() });
    }

    /// What was read, unless anything was wrong.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, ConfigErrors> {
        let found = self.into_found();
        match value {
            Some(value) if found.is_empty() => Ok(value),
            _ => Err(ConfigErrors(found)),
        }
    }

    /// What was found so far, sorted.
    pub fn into_found(self) -> Vec<ConfigError> {
        let mut found = self.found.into_inner();
        found.sort();
        found
    }

    fn add(&self, error: ConfigError) {
        self.found.borrow_mut().push(error);
    }
}

/// Reads a TOML file and lends its top-level table to `read`.
pub fn read_file<T>(file: &Path, problems: &Problems, read: impl FnOnce(&Table) -> Option<T>) -> Option<T> {
    let text = file_text(file, 0o002).map_err(|why| problems.about_file(file, why)).ok()?;
    read_text(file, &text, problems, read)
}

/// The text of a file, unless its mode has one of the bits of `forbidden`.
pub(crate) fn file_text(path: &Path, forbidden: u32) -> Result<String, String> {
    let mut file = open_regular(path)?;
    check_mode(&file, forbidden)?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|error| describe(&error))?;
    Ok(text)
}

/// Opens a regular file for reading.
pub(crate) fn open_regular(path: &Path) -> Result<File, String> {
    // Looked at before it is opened: opening a named pipe would wait for its other end.
    let found = std::fs::metadata(path).map_err(|error| describe(&error))?;
    if !found.is_file() {
        return Err("is not a regular file".to_owned());
    }
    File::open(path).map_err(|error| describe(&error))
}

/// Refuses a file that people may read or change who must not.
pub(crate) fn check_mode(file: &File, forbidden: u32) -> Result<(), String> {
    // Of what was opened: the name may lead to another file by now.
    let mode = file.metadata().map_err(|error| describe(&error))?.permissions().mode() & 0o777;
    if mode & forbidden == 0 {
        return Ok(());
    }
    let excess = match (mode & forbidden, forbidden) {
        (_, 0o002) => "lets everybody change it",
        _ => "gives others access",
    };
    Err(format!("mode {mode:04o} {excess}; it takes a chmod {:o}", mode & !forbidden))
}

/// The files of a directory that end in `.toml`, sorted; hidden ones are left out.
pub(crate) fn toml_files(directory: &Path, problems: &Problems) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let entries = entries.unwrap_or_else(|error| {
        problems.about_file(directory, describe(&error));
        Vec::new()
    });
    let wanted = |file: &PathBuf| {
        let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        !hidden && file.extension().is_some_and(|extension| extension == "toml")
    };
    let mut files: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).filter(wanted).collect();
    files.sort();
    files
}

/// Reads TOML text that came from `file` and lends its top-level table to `read`.
pub fn read_text<T>(
    file: &Path,
    text: &str,
    problems: &Problems,
    read: impl FnOnce(&Table) -> Option<T>,
) -> Option<T> {
    read_layers(&[(file, text)], problems, read)
}

/// Reads several texts as one: what the first does not say, the next says. Tables are laid over each
/// other, all else is taken as a whole.
pub(crate) fn read_layers<T>(
    texts: &[(&Path, &str)],
    problems: &Problems,
    read: impl FnOnce(&Table) -> Option<T>,
) -> Option<T> {
    let mut trees = Vec::new();
    for (file, text) in texts {
        let source = Source { file, text, problems };
        let (tree, errors) = DeTable::parse_recoverable(text);
        let mut found: Vec<_> =
            errors.iter().map(|error| (error.span().unwrap_or(0..0), error.message())).collect();
        found.sort_by_key(|(span, _)| span.start);
        for (span, reason) in found.into_iter().take(MOST_OF_SYNTAX) {
            source.report(span, String::new(), reason);
        }
        // What a broken file still yields would only bring errors that are not the operator's.
        if !errors.is_empty() {
            return None;
        }
        trees.push((source, tree));
    }
    let mut top = None;
    for (source, tree) in trees.iter().rev() {
        let root = Table {
            source: *source,
            label: String::new(),
            section: String::new(),
            span: 0..0,
            tree: tree.get_ref(),
            below: top.map(Rc::new),
            asked: RefCell::default(),
        };
        top = Some(root);
    }
    top?.lend(read)
}

/// Lends a table that was made from another format's text; its values stand where they stand there.
pub(crate) fn lend_made<T>(
    source: Source,
    label: String,
    span: Range<usize>,
    tree: &DeTable,
    read: impl FnOnce(&Table) -> Option<T>,
) -> Option<T> {
    let section = "device.".to_owned();
    Table { source, label, section, span, tree, below: None, asked: RefCell::default() }.lend(read)
}

/// An I/O error without the number of the system call's result.
pub fn describe(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::InvalidData => "is not UTF-8 text".to_owned(),
        kind => kind.to_string(),
    }
}

/// A text and what to do about mistakes in it.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a Path,
    pub(crate) text: &'a str,
    pub(crate) problems: &'a Problems,
}

impl Source<'_> {
    pub(crate) fn report(&self, span: Range<usize>, key: String, reason: impl fmt::Display) {
        let place = Some(self.place(span.start));
        self.problems.add(ConfigError { file: self.file.to_owned(), place, key, reason: reason.to_string() });
    }

    pub(crate) fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }
}

/// One TOML table. See the module's documentation.
pub struct Table<'a> {
    source: Source<'a>,
    /// What the names of its keys are shown after: `rpc.` or `device[2] leaf3: `.
    label: String,
    /// The same without index and name, `rpc.` or `device.`.
    section: String,
    span: Range<usize>,
    tree: &'a DeTable<'a>,
    /// What says what this one does not.
    below: Option<Rc<Table<'a>>>,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Table<'a> {
    /// The value of a key, if it is there.
    pub fn get(&self, key: &'static str) -> Option<Item<'a>> {
        self.asked.borrow_mut().insert(key);
        let Some(value) = self.tree.get(key) else { return self.below.as_ref()?.get(key) };
        Some(Item {
            source: self.source,
            name: key,
            key: format!("{}{key}", self.label),
            span: value.span(),
            value: value.get_ref(),
        })
    }

    /// The value of a key that must be there.
    pub fn required(&self, key: &'static str) -> Option<Item<'a>> {
        let item = self.get(key);
        if item.is_none() {
            self.refuse(key, "missing");
        }
        item
    }

    /// The value of the one of two keys that is there; both or neither is a mistake.
    pub fn one_of(&self, first: &'static str, second: &'static str) -> Option<Item<'a>> {
        self.one_among(&[first, second])
    }

    /// The value of the one of these keys that is there; several or none is a mistake.
    pub fn one_among(&self, keys: &[&'static str]) -> Option<Item<'a>> {
        let item = self.at_most_one_among(keys);
        if !keys.iter().any(|key| self.get(key).is_some()) {
            self.refuse(keys[0], format_args!("missing; give {}", listed(keys, "or")));
        }
        item
    }

    /// The value of the one of these keys that is there, if any is; several are a mistake.
    pub fn at_most_one_among(&self, keys: &[&'static str]) -> Option<Item<'a>> {
        let mut found = self.those_among(keys);
        let last = found.pop()?;
        if found.is_empty() {
            return Some(last);
        }
        last.refuse(format_args!("give only one of {}", listed(keys, "and")));
        None
    }

    /// The values of those of these keys that are there: one of them here stands for all of them below.
    pub fn those_among(&self, keys: &[&'static str]) -> Vec<Item<'a>> {
        let is_here = keys.iter().any(|key| self.tree.contains_key(*key));
        let here = |key: &&&'static str| !is_here || self.tree.contains_key(**key);
        self.asked.borrow_mut().extend(keys);
        keys.iter().filter(here).filter_map(|key| self.get(key)).collect()
    }

    /// The values under `key`, a table whose keys are the operator's own words.
    pub fn entries(&self, key: &'static str) -> Vec<(String, Item<'a>)> {
        let Some(item) = self.get(key) else { return Vec::new() };
        let DeValue::Table(tree) = item.value else {
            item.wrong_type::<()>(&format!("a table ([{}])", item.key));
            return Vec::new();
        };
        let entry = |(word, value): (&Spanned<_>, &'a Spanned<DeValue<'a>>)| {
            let word: &DeString = word.get_ref();
            let key = format!("{}.{}", item.key, word.escape_debug());
            (word.to_string(), Item { key, span: value.span(), value: value.get_ref(), ..item.clone() })
        };
        tree.iter().map(entry).collect()
    }

    /// Lends the table under `key`; none: it is absent.
    pub fn table<T>(&self, key: &'static str, read: impl FnOnce(&Table) -> Option<T>) -> Option<T> {
        let item = self.get(key)?;
        if let Some(below) = self.below.as_ref().filter(|_| !self.tree.contains_key(key)) {
            return below.table(key, read);
        }
        let DeValue::Table(tree) = item.value else {
            return item.wrong_type(&format!("a table ([{}])", item.key));
        };
        let below = self.below.as_ref().and_then(|below| below.inner_table(key)).map(Rc::new);
        let label = format!("{}.", item.key);
        Table { below, source: item.source, ..self.inner(item.span, label, key, tree) }.lend(read)
    }

    /// Lends a table that must be there.
    pub fn required_table<T>(&self, key: &'static str, read: impl FnOnce(&Table) -> Option<T>) -> Option<T> {
        if self.required(key).is_some() { self.table(key, read) } else { None }
    }

    /// Lends each table of an array of tables in turn; their label has the number and the name.
    pub fn tables(&self, key: &'static str, mut read: impl FnMut(&Table)) {
        let Some(item) = self.get(key) else { return };
        let expected = format!("an array of tables ([[{key}]])");
        let DeValue::Array(entries) = item.value else {
            item.wrong_type::<()>(&expected);
            return;
        };
        for (n, entry) in entries.iter().enumerate() {
            let name = entry.get_ref().get("name").and_then(|name| name.get_ref().as_str());
            let name = name.unwrap_or_default().escape_debug();
            let label = format!("{}[{n}] {name}", item.key).trim_end().to_owned();
            let DeValue::Table(tree) = entry.get_ref() else {
                let entry = Item { key: label, span: entry.span(), value: entry.get_ref(), ..item };
                entry.wrong_type::<()>(&expected);
                return;
            };
            let table = self.inner(entry.span(), format!("{label}: "), key, tree);
            Table { source: item.source, ..table }.lend(|table| {
                read(table);
                Some(())
            });
        }
    }

    /// Records a mistake at a key, or at the table when the key is absent.
    pub fn refuse(&self, key: &'static str, reason: impl fmt::Display) {
        let span = self.tree.get(key).map_or(self.span.clone(), Spanned::span);
        self.source.report(span, format!("{}{key}", self.label), reason);
    }

    /// Where it begins, `file:line`.
    pub fn line(&self) -> String {
        let (line, _) = self.source.place(self.span.start);
        format!("{}:{line}", self.source.file.display())
    }

    fn inner_table(&self, key: &'static str) -> Option<Table<'a>> {
        let below = self.below.as_ref().and_then(|below| below.inner_table(key));
        let Some(value) = self.tree.get(key) else { return below };
        let DeValue::Table(tree) = value.get_ref() else { return None };
        let inner = self.inner(value.span(), format!("{}{key}.", self.label), key, tree);
        Some(Table { below: below.map(Rc::new), ..inner })
    }

    fn inner(&self, span: Range<usize>, label: String, key: &str, tree: &'a DeTable<'a>) -> Table<'a> {
        let section = format!("{}{key}.", self.section);
        Table { source: self.source, label, section, span, tree, below: None, asked: RefCell::default() }
    }

    /// Lets `read` ask for keys and reports those that it left.
    fn lend<T>(self, read: impl FnOnce(&Table) -> Option<T>) -> Option<T> {
        let value = read(&self);
        let asked = self.asked.borrow();
        #[cfg(test)]
        self.source
            .problems
            .asked
            .borrow_mut()
            .extend(asked.iter().map(|key| format!("{}{key}", self.section)));
        for key in self.tree.keys() {
            let name: &str = key.get_ref();
            if !asked.contains(name) {
                let hint = hint(name, asked.iter().copied());
                let name = name.escape_debug();
                self.source.report(
                    key.span(),
                    format!("{}{name}", self.label),
                    format_args!("unknown key{hint}"),
                );
            }
        }
        value
    }
}

/// `; did you mean ...?` when one of `known` is close to `name`.
pub fn hint<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> String {
    let likeness = |known: &str| strsim::jaro_winkler(name, known);
    let closest = known.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match closest {
        Some(known) if likeness(known) > 0.85 => format!("; did you mean `{known}`?"),
        _ => String::new(),
    }
}

fn listed(keys: &[&str], word: &str) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    match keys.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} {word} {last}", rest.join(", ")),
        _ => keys.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let problems = Problems::default();
        let source = Source { file: Path::new("f"), text: "a\n# é\nü = x", problems: &problems };
        assert_eq!(source.place(0), (1, 1));
        assert_eq!(source.place(source.text.find('x').unwrap()), (3, 5));
        assert_eq!(source.place(1000), (3, 6));
    }
}
