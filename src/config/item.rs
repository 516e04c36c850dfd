//! One value of a TOML file, turned into what it stands for.

use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use toml::de::DeValue;

use super::reader::{Source, describe};

/// One value and where it stands.
#[derive(Clone)]
pub struct Item<'a> {
    pub(super) source: Source<'a>,
    /// The key itself.
    pub name: &'static str,
    /// The key with the table's label, as mistakes show it.
    pub(super) key: String,
    pub(super) span: Range<usize>,
    pub(super) value: &'a DeValue<'a>,
}

impl<'a> Item<'a> {
    /// Records a mistake here.
    pub fn refuse(&self, reason: impl fmt::Display) {
        self.source.report(self.span.clone(), self.key.clone(), reason);
    }

    /// A string without control characters.
    pub fn text(&self) -> Option<&'a str> {
        let Some(text) = self.value.as_str() else { return self.wrong_type("a string") };
        if text.chars().any(char::is_control) {
            self.refuse("holds a control character");
            return None;
        }
        Some(text)
    }

    /// A string that `parse` accepts.
    pub fn read<T, E: fmt::Display>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        match parse(self.text()?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(error);
                None
            }
        }
    }

    /// What was made of it, or of its key.
    pub fn of<T, E: fmt::Display>(&self, made: Result<T, E>) -> Option<T> {
        made.map_err(|error| self.refuse(error)).ok()
    }

    /// A string in the text form of `T`.
    pub fn parse<T: FromStr<Err: fmt::Display>>(&self) -> Option<T> {
        self.read(T::from_str)
    }

    /// A string with something in it.
    pub fn filled_text(&self) -> Option<String> {
        self.read(|text| if text.trim().is_empty() { Err("is empty") } else { Ok(text.to_owned()) })
    }

    /// One of the words that mean something.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        self.read(|text| {
            let choice = choices.iter().find(|(word, _)| *word == text);
            choice.map(|(_, value)| *value).ok_or_else(|| {
                let words: Vec<_> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                format!("expected {}, found \"{text}\"", words.join(", "))
            })
        })
    }

    /// A whole number within bounds.
    pub fn integer(&self, bounds: RangeInclusive<u32>) -> Option<u32> {
        let Some(number) = self.value.as_integer() else { return self.wrong_type("an integer") };
        let value = u32::from_str_radix(number.as_str(), number.radix()).ok();
        let value = value.filter(|value| bounds.contains(value));
        if value.is_none() {
            self.refuse(format_args!("{number} is outside {} to {}", bounds.start(), bounds.end()));
        }
        value
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        self.value.as_bool().or_else(|| self.wrong_type("a boolean"))
    }

    /// A time such as `500ms`, `60s`, `2m` or `1h`, within bounds of whole seconds.
    pub fn duration(&self, bounds: RangeInclusive<Duration>) -> Option<Duration> {
        self.read(|text| {
            let time = parse_duration(text)?;
            if bounds.contains(&time) {
                return Ok(time);
            }
            Err(format!("{text} is outside {}s to {}s", bounds.start().as_secs(), bounds.end().as_secs()))
        })
    }

    /// Whether it is an array.
    pub fn is_list(&self) -> bool {
        self.value.as_array().is_some()
    }

    /// The elements of an array that `read` accepts; none: at least one is wrong.
    pub fn list<T>(&self, read: impl Fn(&Item<'a>) -> Option<T>) -> Option<Vec<T>> {
        let Some(array) = self.value.as_array() else { return self.wrong_type("an array") };
        // Read all before failing, so that all mistakes are found.
        let elements: Vec<_> = array
            .iter()
            .enumerate()
            .map(|(n, element)| {
                let key = format!("{}[{n}]", self.key);
                read(&Item { key, span: element.span(), value: element.get_ref(), ..self.clone() })
            })
            .collect();
        elements.into_iter().collect()
    }

    /// A path; a relative one is taken from the directory of the file that names it.
    pub fn path(&self) -> Option<PathBuf> {
        let path = self.filled_text()?;
        Some(self.source.file.parent().unwrap_or(Path::new("")).join(path))
    }

    /// The path of a directory that exists.
    pub fn directory(&self) -> Option<PathBuf> {
        let path = self.path()?;
        match std::fs::metadata(&path) {
            Ok(found) if found.is_dir() => return Some(path),
            Ok(_) => self.refuse(format_args!("{} is not a directory", path.display())),
            Err(error) => self.refuse(format_args!("{}: {}", path.display(), describe(&error))),
        }
        None
    }

    /// The file it stands in, that file's text, and where in it.
    pub(crate) fn place(&self) -> (&'a Path, &'a str, usize) {
        (self.source.file, self.source.text, self.span.start)
    }

    /// Records that something else was expected here.
    pub(super) fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        let found = self.value.type_str();
        let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
        self.refuse(format_args!("expected {expected}, found {article} {found}"));
        None
    }
}

/// `500ms`, `60s`, `2m`, `1h`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a time such as \"500ms\", \"60s\" or \"2m\", found \"{text}\"");
    let end = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(end);
    let number: u32 = number.parse().map_err(|_| wrong())?;
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        _ => return Err(wrong()),
    };
    Ok(unit * number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_need_a_unit() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "60", "s", "-1s", "1.5s", "1 s", "1d", "99999999999s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
