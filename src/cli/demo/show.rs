//! Words for a terminal, and a configuration as a set of leaves.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use quick_xml::events::Event;
use serde_json::Value;

const WIDTH: usize = 100;

/// Text under construction: a label on the left, content on the right.
#[derive(Default)]
pub struct Page(pub String);

impl Page {
    pub fn line(&mut self, text: &str) {
        self.0 += text;
        self.0.push('\n');
    }

    /// Content in lines of its own.
    pub fn block(&mut self, label: &str, lines: impl IntoIterator<Item = impl AsRef<str>>) {
        let mut label = label;
        for line in lines {
            self.line(&format!("   {label:<9}{}", line.as_ref()));
            label = "";
        }
    }

    /// Content that is broken where a line would get too long.
    pub fn text(&mut self, label: &str, text: &str) {
        let mut lines: Vec<String> = Vec::new();
        for word in text.split(' ') {
            match lines.last_mut() {
                Some(line) if line.len() + 1 + word.len() <= WIDTH => *line += &format!(" {word}"),
                _ => lines.push(word.to_owned()),
            }
        }
        self.block(label, lines);
    }

    /// An answer of the service, with these parts of it in full.
    pub fn answer(&mut self, answer: &Value, parts: &[&str]) {
        if let Some(error) = answer.get("error") {
            let class = plain(&error["data"]["class"]);
            let class = class.rsplit('.').next().unwrap_or_default();
            self.text("answer", &format!("error {} {class}: {}", error["code"], plain(&error["message"])));
            return;
        }
        let result = &answer["result"];
        let Some(devices) = result["devices"].as_array() else {
            return self.text("answer", &result.to_string().replace(",\"", ", \""));
        };
        for device in devices {
            let (before, after) = (plain(&device["before"]), plain(&device["after"]));
            self.text("answer", &format!("{}: `{before}` -> `{after}`", plain(&result["outcome"])));
            self.phases(&device["timings"]);
            for risk in device["risks"].as_array().into_iter().flatten() {
                self.text("risk", &plain(risk));
            }
            for part in parts.iter().filter(|part| device.get(**part).is_some()) {
                self.block(part, plain(&device[*part]).lines());
            }
        }
    }

    fn phases(&mut self, timings: &Value) {
        let took = |took: &Value| {
            format!("{}={:.1}ms", plain(&took["phase"]), took["ms"].as_f64().unwrap_or_default())
        };
        let words: Vec<String> = timings.as_array().into_iter().flatten().map(took).collect();
        if !words.is_empty() {
            self.text("phases", &words.join(" "));
        }
    }
}

/// A text without the quotes around it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Every leaf of a configuration as `path = value`; ports by their name alone.
pub fn leaves(xml: &str) -> Result<BTreeSet<String>> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let (mut path, mut text, mut leaves) = (Vec::<String>::new(), None, BTreeSet::new());
    loop {
        match reader.read_event()? {
            Event::Start(start) => {
                path.push(start.local_name().into_inner().to_owned());
                text = Some(String::new());
            }
            Event::Text(part) => {
                if let Some(text) = &mut text {
                    *text += &part;
                }
            }
            Event::End(_) => {
                let name = path.pop().context("an end without a start")?;
                if let (Some(value), Some(parent)) = (text.take(), path.last_mut()) {
                    // OpenConfig's rule: a leaf directly in a list entry is its key.
                    if parent == "config" {
                        let path = path.join("/").replacen("interfaces/", "", 1);
                        leaves.insert(format!("{path}/{name} = {value}"));
                    } else {
                        *parent = value;
                    }
                }
            }
            Event::Eof => return Ok(leaves),
            _ => {}
        }
    }
}

/// What is gone with a minus, then what is new with a plus.
pub fn changes(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Vec<String> {
    let gone = before.difference(after).map(|leaf| format!("- {leaf}"));
    let new = after.difference(before).map(|leaf| format!("+ {leaf}"));
    gone.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_and_changes() {
        let port = |leaf: &str| {
            let xml = format!(
                "<interfaces xmlns=\"u\"><interface><name>eth1</name><config>{leaf}</config></interface></interfaces>"
            );
            leaves(&xml).unwrap()
        };
        let (before, after) = (port("<mtu>1</mtu><a>x</a>"), port("<mtu>2</mtu><a>x</a>"));
        assert_eq!(before, ["eth1/config/a = x", "eth1/config/mtu = 1"].map(str::to_owned).into());
        assert_eq!(changes(&before, &after), ["- eth1/config/mtu = 1", "+ eth1/config/mtu = 2"]);
    }

    #[test]
    fn long_lines_are_broken() {
        let mut page = Page::default();
        page.text("ask", &"word ".repeat(30));
        assert!(page.0.lines().count() == 2 && page.0.lines().all(|line| line.len() <= WIDTH + 12));
    }
}
