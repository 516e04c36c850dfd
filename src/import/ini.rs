//! The INI dialect of oslo.config: `key = value` or `key : value`, quotes around a value, lines that
//! begin with white space continue the value above.

use std::ops::Range;

use crate::config::reader::Source;

/// A file in that dialect. No `Debug`: values can be passwords.
#[derive(Default)]
pub struct Ini {
    /// In the order of their first appearance; a section that is opened again goes on.
    pub sections: Vec<Section>,
}

/// What stands below `[name]`.
pub struct Section {
    pub name: String,
    /// Where its first header stands, in bytes.
    pub span: Range<usize>,
    pub options: Vec<Entry>,
}

/// One assignment.
pub struct Entry {
    pub key: String,
    pub value: String,
    /// Where the assignment stands, in bytes.
    pub span: Range<usize>,
}

impl Ini {
    /// Reads the text of `source`; every line that is none of the dialect is reported there.
    pub(crate) fn read(source: Source) -> Self {
        let mut ini = Self::default();
        // The section, and whether a continuation may follow.
        let (mut section, mut open): (Option<usize>, bool) = (None, false);
        let mut end = 0;
        for line in source.text.split_inclusive('\n') {
            let start = end;
            end += line.len();
            let line = line.trim_end();
            let span = start..start + line.len();
            let refuse = |why: &str| source.report(span.clone(), String::new(), why);
            if line.is_empty() {
                open = false;
            } else if line.starts_with([' ', '\t']) {
                let last = section.and_then(|n: usize| ini.sections[n].options.last_mut());
                match last.filter(|_| open) {
                    Some(entry) => {
                        entry.value.push('\n');
                        entry.value.push_str(line.trim_start());
                    }
                    None => refuse("a line that begins with white space continues nothing"),
                }
            } else if let Some(header) = line.strip_prefix('[') {
                open = false;
                match header.strip_suffix(']').filter(|name| !name.is_empty()) {
                    Some(name) => section = Some(ini.open(name, span)),
                    None => refuse("a section header is [NAME] and nothing else"),
                }
            } else if line.starts_with(['#', ';']) {
                open = false;
            } else {
                open = true;
                let Some((key, value)) =
                    line.split_once(['=', ':']).filter(|(key, _)| !key.trim().is_empty())
                else {
                    open = false;
                    refuse("expected KEY = VALUE");
                    continue;
                };
                let Some(section) = section else {
                    refuse("an assignment above the first section header");
                    continue;
                };
                let (key, value) = (key.trim().to_owned(), unquoted(value.trim()).to_owned());
                ini.sections[section].options.push(Entry { key, value, span });
            }
        }
        ini
    }

    /// The value that oslo.config takes for an option that can have one: the last.
    pub fn value(&self, section: &str, key: &str) -> Option<&Entry> {
        let section = self.sections.iter().find(|found| found.name == section)?;
        section.options.iter().rfind(|entry| entry.key == key)
    }

    fn open(&mut self, name: &str, span: Range<usize>) -> usize {
        let known = self.sections.iter().position(|section| section.name == name);
        known.unwrap_or_else(|| {
            self.sections.push(Section { name: name.to_owned(), span, options: Vec::new() });
            self.sections.len() - 1
        })
    }
}

fn unquoted(value: &str) -> &str {
    let inside =
        |quote| value.strip_prefix(quote).map(|rest: &str| rest.strip_suffix(quote).unwrap_or(value));
    // A quote alone is the empty text to oslo.config.
    if value == "\"" || value == "'" {
        return "";
    }
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::reader::Problems;
    use std::path::Path;

    fn read(text: &str) -> Result<String, String> {
        let problems = Problems::default();
        let ini = Ini::read(Source { file: Path::new("f"), text, problems: &problems });
        let shown = ini.sections.iter().map(|section| {
            let options = section.options.iter().map(|o| format!("{}={:?}", o.key, o.value));
            format!("[{}] {}", section.name, options.collect::<Vec<_>>().join(" "))
        });
        let shown = shown.collect::<Vec<_>>().join("; ");
        problems.finish(Some(shown)).map_err(|errors| errors.to_string())
    }

    /// Each line of this was compared with what oslo.config 10.7's parser makes of it.
    #[test]
    fn values_are_what_oslo_reads() {
        for (text, expected) in [
            ("[a]\nk = v", "[a] k=\"v\""),
            ("[a]\r\nk=v\r\n", "[a] k=\"v\""),
            ("[a]\nk: v = w", "[a] k=\"v = w\""),
            ("[a]\nk = v: w # x", "[a] k=\"v: w # x\""),
            ("[a]\nk =", "[a] k=\"\""),
            ("[a]\nk = \" v \"", "[a] k=\" v \""),
            ("[a]\nk = 'v\"", "[a] k=\"'v\\\"\""),
            ("[a]\nk = \"", "[a] k=\"\""),
            ("[a]\nk = 1,\n  2\n\t3", "[a] k=\"1,\\n2\\n3\""),
            ("# c\n[a b:c]\n; c\nk=v\n\n[d]\n[a b:c]\nk=w", "[a b:c] k=\"v\" k=\"w\"; [d] "),
            ("", ""),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text:?}");
        }
        for (text, line) in [
            ("k = v", 1),
            ("[a]\n[]", 2),
            ("[a] # c", 1),
            ("[a", 1),
            ("[a]\nk", 2),
            ("[a]\n= v", 2),
            ("[a]\n k = v", 2),
            ("[a]\nk = v\n\n w", 4),
            ("[a]\nk = v\n# c\n w", 4),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(&format!("f:{line}:1: ")), "{text:?}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_ends_in_values_or_mistakes(text in "([\\[\\]=: \t\r\n#'\"aé\u{a0}]|\\PC){0,60}") {
            let lines = text.lines().count();
            if let Err(errors) = read(&text) {
                for error in errors.lines() {
                    let line = error.split(':').nth(1).and_then(|line| line.parse::<usize>().ok());
                    proptest::prop_assert!(line.is_some_and(|line| (1..=lines).contains(&line)), "{error}");
                }
            }
        }
    }
}
