//! Paths as people write them: `/interfaces/interface[name=eth1]/config`, with a backslash before `]`
//! and `\` in the value of a key (gnmi-path-strings.md), and before them `origin:` where there is one.

use std::fmt;
use std::str::FromStr;

use super::{Path, PathElem};
use crate::path::Step;

/// Why a text is not a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a gNMI path: {why}")]
pub struct PathError {
    text: String,
    why: &'static str,
}

/// As it is written; keys in the order of their names, since the wire keeps no order.
impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Path { origin, elem, .. } = self.0;
        if !origin.is_empty() {
            write!(f, "{origin}:")?;
        }
        if elem.is_empty() {
            return f.write_str("/");
        }
        for PathElem { name, key } in elem {
            write!(f, "/{}", escape(name, &['\\', '/', '[']))?;
            let mut keys: Vec<_> = key.iter().collect();
            keys.sort();
            for (key, value) in keys {
                write!(f, "[{key}={}]", escape(value, &['\\', ']']))?;
            }
        }
        Ok(())
    }
}

struct Text<'p>(&'p Path);

fn escape(text: &str, special: &[char]) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if special.contains(&c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

impl Path {
    /// The text form.
    pub fn text(&self) -> String {
        Text(self).to_string()
    }
}

impl Path {
    /// Its levels, without a module where the name says none; keys in the order of their names.
    pub fn steps(&self) -> Vec<Step> {
        let step = |elem: &PathElem| {
            let (module, name) = elem.name.split_once(':').unwrap_or(("", &elem.name));
            let mut keys: Vec<_> = elem.key.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
            keys.sort();
            Step { module: module.to_owned(), name: name.to_owned(), keys }
        };
        self.elem.iter().map(step).collect()
    }
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let fail = |why| PathError { text: text.to_owned(), why };
        let start = text.find('/').ok_or_else(|| fail("it has no `/`"))?;
        let (origin, mut rest) = text.split_at(start);
        let origin = match origin.strip_suffix(':') {
            Some(origin) if !origin.is_empty() => origin,
            None if origin.is_empty() => "",
            _ => return Err(fail("before its first `/` is no origin")),
        };
        let mut path = Self { origin: origin.to_owned(), ..Self::default() };
        if rest == "/" {
            return Ok(path);
        }
        while let Some(level) = rest.strip_prefix('/') {
            let (name, mut after) = until(level, &['/', '[']);
            if name.is_empty() {
                return Err(fail("a level has no name"));
            }
            let mut elem = PathElem { name, ..PathElem::default() };
            while let Some(inner) = after.strip_prefix('[') {
                let (key, value) = inner.split_once('=').ok_or_else(|| fail("a key has no `=`"))?;
                let (value, end) = until(value, &[']']);
                after = end.strip_prefix(']').ok_or_else(|| fail("a key does not end"))?;
                if elem.key.insert(key.to_owned(), value).is_some() {
                    return Err(fail("a key is given twice"));
                }
            }
            path.elem.push(elem);
            rest = after;
        }
        if rest.is_empty() { Ok(path) } else { Err(fail("text stands behind a key")) }
    }
}

/// Up to the first of `ends` that no backslash stands before, and what follows from there.
fn until<'t>(text: &'t str, ends: &[char]) -> (String, &'t str) {
    let mut taken = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => taken.extend(chars.next().map(|(_, c)| c)),
            c if ends.contains(&c) => return (taken, &text[at..]),
            c => taken.push(c),
        }
    }
    (taken, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in [
            "/",
            "cli:/",
            "/interfaces/interface[name=ethernet-1/1]/config",
            "/a[x=1][y=two]/b",
            "openconfig:/a[k=a\\]b\\\\c]",
            "/sonic-port:sonic-port/PORT",
        ] {
            assert_eq!(text.parse::<Path>().unwrap().text(), text);
        }
        for bad in ["", "x", "a/b", "//a", "/a[k]", "/a[k=v", "/a[k=1][k=2]", "/a[k=v]b", "/a/"] {
            assert!(bad.parse::<Path>().is_err(), "{bad}");
        }
    }
}
