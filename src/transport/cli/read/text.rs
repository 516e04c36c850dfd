//! Output line by line.

use regex::Regex;

use super::{Row, Rows, cannot_be_read};
use crate::device::cli::{ReadRule, TextRule};
use crate::transport::cli::ports;

/// Puts what each line says into the rows.
pub(super) fn read(
    rows: &mut Rows,
    rule: &ReadRule,
    rules: &[TextRule],
    unread: Option<&Regex>,
    output: &str,
) -> Result<(), String> {
    let mut reader = TextReader { rows, rule, state: None, section: None, row: None };
    for line in output.lines() {
        let line = line.trim_end();
        let is_read = reader.line(rules, line)?;
        if !is_read && unread.is_some_and(|unread| unread.is_match(line)) {
            // In the section of a port that nobody asked about it does not matter.
            match reader.port().filter(|_| reader.state.is_some()) {
                Some(port) => drop(reader.rows.unread.entry(port).or_insert(line.to_owned())),
                None => return Err(cannot_be_read(line)),
            }
        }
    }
    Ok(())
}

struct TextReader<'r, 't> {
    rows: &'r mut Rows,
    rule: &'t ReadRule,
    state: Option<&'t str>,
    /// What the last line with a group `section` had there.
    section: Option<String>,
    row: Option<Row>,
}

impl<'t> TextReader<'_, 't> {
    /// The port that the lines are about.
    fn port(&self) -> Option<String> {
        self.row.as_ref()?.get("port")?.clone()
    }

    /// Whether a rule fits the line.
    fn line(&mut self, rules: &'t [TextRule], line: &str) -> Result<bool, String> {
        let in_state = |rule: &&TextRule| rule.state.is_none() || rule.state.as_deref() == self.state;
        let fitting = |rule: &'t TextRule| Some((rule, rule.pattern.captures(line)?));
        let Some((rule, captures)) = rules.iter().filter(in_state).find_map(fitting) else {
            return Ok(false);
        };
        self.section = captures.name("section").map(|name| name.as_str().to_owned()).or(self.section.take());
        let groups =
            rule.pattern.capture_names().flatten().filter(|name| !["section", "ports"].contains(name));
        let found =
            groups.filter_map(|name| Some((name.to_owned(), captures.name(name)?.as_str().to_owned())));
        let found: Vec<(String, String)> = found.collect();
        let begins = |(name, _): &(String, String)| name == "port" || name == "vlan";
        if found.iter().any(begins) {
            let key: Row =
                found.iter().filter(|pair| begins(pair)).map(|(n, v)| (n.clone(), Some(v.clone()))).collect();
            self.rows.begin(self.rule, &key)?;
            self.row = Some(key);
        }
        let constant = |(name, value): (&String, &String)| match (value.as_str(), &self.section) {
            ("$section", Some(section)) => Ok((name.clone(), section.clone())),
            ("$section", None) => Err("it stands in no section".to_owned()),
            (value, _) => Ok((name.clone(), value.to_owned())),
        };
        let constants = rule.set.iter().map(constant).collect::<Result<Vec<_>, _>>()?;
        let values: Vec<(String, String)> = found.into_iter().chain(constants).collect();
        if let Some(ports) = captures.name("ports") {
            for port in ports::listed(ports.as_str())? {
                self.fill(&Row::from([("port".to_owned(), Some(port))]), &values, rule)?;
            }
        } else if let (false, Some(key)) = (values.is_empty(), self.row.clone()) {
            self.fill(&key, &values, rule)?;
        }
        let port = self.port();
        self.rows.hidden.extend(port.filter(|_| rule.hides));
        if let Some(next) = &rule.next {
            self.state = Some(next);
            if next == "start" {
                self.row = None;
                self.state = None;
            }
        }
        Ok(true)
    }

    /// Puts values into the row with this key.
    fn fill(&mut self, key: &Row, values: &[(String, String)], rule: &TextRule) -> Result<(), String> {
        let row = self.rows.begin(self.rule, key)?;
        for (name, value) in values {
            match row.get_mut(name) {
                Some(Some(old)) if rule.appends && !key.contains_key(name) => {
                    old.push(',');
                    old.push_str(value);
                }
                _ => drop(row.insert(name.clone(), Some(value.clone()))),
            }
        }
        Ok(())
    }
}
