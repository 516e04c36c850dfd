//! A vendor's own model: which nodes are asked for, and what came as the documents that a profile's rules
//! read. Pure. Namespaces of what came decide nothing: which node it is tells its place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quick_xml::Reader;
use quick_xml::escape::{escape, resolve_predefined_entity};
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value as Json};

use crate::device::language::XmlShape;
use crate::device::{Language, Model, Profile, Speaks};
use crate::gnmi::Path;
use crate::slice::Slice;
use crate::transport::ReadSet;
use crate::transport::rows::{Rows, Wanted};

/// So many levels may be in an answer: what handles a document calls itself once a level.
const DEEPEST: usize = 64;

/// The member of an object that names the attributes that it has, or anything in it: what they say has no
/// other place here, and may be that a part of it is not in force.
const ATTRIBUTES: &str = "@";

/// What a vendor's own model is read with.
#[derive(Clone)]
pub(super) struct Native {
    profile: Arc<Profile>,
    language: Arc<Language>,
}

impl Native {
    /// None: the profile tells OpenConfig.
    pub(super) fn of(profile: &Arc<Profile>) -> Option<Self> {
        match &profile.speaks {
            Speaks::Netconf(habits) => match &habits.model {
                Model::Native(language) => {
                    Some(Self { profile: profile.clone(), language: language.clone() })
                }
                Model::OpenConfig | Model::Lines(_) => None,
            },
            Speaks::Gnmi(_) | Speaks::Cli(_) => None,
        }
    }

    /// The nodes that tell it, each once.
    fn asked(&self, of_state: bool, wanted: &Wanted) -> Result<Vec<(String, Path)>, String> {
        let texts: BTreeSet<String> =
            wanted.asked(of_state, &self.language)?.into_iter().map(|(_, text)| text).collect();
        let path = |text: String| {
            let path = text.parse::<Path>().map_err(|error| error.to_string())?;
            Ok((text, path))
        };
        texts.into_iter().map(path).collect()
    }

    /// A subtree filter (RFC 6241 6) for each node that tells it.
    pub(super) fn filters(&self, of_state: bool, reads: &ReadSet) -> Result<Vec<String>, String> {
        let asked = self.asked(of_state, &Wanted::of(&reads.paths))?;
        asked.iter().map(|(_, path)| filter(path, &self.language.xml)).collect()
    }

    /// What the answers to [`Self::filters`] say, each the content of a `<data>`.
    pub(super) fn understood(
        &self,
        of_state: bool,
        answers: &[String],
        reads: &ReadSet,
    ) -> Result<Slice, String> {
        let wanted = Wanted::of(&reads.paths);
        let mut documents = BTreeMap::new();
        let asked = self.asked(of_state, &wanted)?;
        if asked.len() != answers.len() {
            return Err("a read has no outcome".to_owned());
        }
        for ((text, path), answer) in asked.into_iter().zip(answers) {
            let document = document(answer, &path, &self.language.xml);
            documents.insert(text.clone(), document.map_err(|why| format!("{text}: {why}"))?);
        }
        let mut rows = Rows::default();
        for (rule, text) in wanted.asked(of_state, &self.language)? {
            let document = documents.get(&text).ok_or_else(|| format!("{text}: it has no answer"))?;
            rows.read_json(rule, document).map_err(|why| format!("{text}: {why}"))?;
        }
        rows.told(of_state, &wanted, &self.profile, &self.language, &reads.paths)
    }
}

/// What `data` says of a node, as JSON: what an answer would be read as.
///
/// # Errors
/// As [`document`], and what is no path.
pub(crate) fn told(data: &str, path: &str, language: &Language) -> Result<String, String> {
    let path = path.parse::<Path>().map_err(|error| error.to_string())?;
    document(data, &path, &language.xml).map(|document| document.to_string())
}

/// The filter that selects one node; keys become content matches.
fn filter(path: &Path, shape: &XmlShape) -> Result<String, String> {
    let (mut filter, mut ends) = (String::new(), Vec::new());
    let mut above: Option<&str> = None;
    for step in path.steps() {
        let namespace = match (step.module.as_str(), above) {
            ("", Some(above)) => above,
            ("", None) => &shape.namespace,
            (module, _) => shape
                .namespaces
                .get(module)
                .ok_or_else(|| format!("module `{module}` has no namespace here"))?,
        };
        filter += &format!("<{}", step.name);
        if above != Some(namespace) {
            filter += &format!(" xmlns=\"{}\"", escape(namespace));
        }
        filter.push('>');
        for (key, value) in &step.keys {
            filter += &format!("<{key}>{}</{key}>", escape(value.as_str()));
        }
        ends.push(step.name);
        above = Some(namespace);
    }
    ends.iter().rev().for_each(|name| filter += &format!("</{name}>"));
    Ok(filter)
}

/// An element that has begun.
#[derive(Default)]
struct Open {
    name: String,
    path: String,
    text: String,
    members: Map<String, Json>,
    attributes: BTreeSet<String>,
}

/// What is in the node that was asked for; an empty object where it is not there. Elements are members,
/// what the profile names as a list is an array, and so is what is there several times; a leaf is its text,
/// and an empty element an empty one.
///
/// # Errors
/// What is no XML, too deep, or no text where one is needed.
fn document(data: &str, asked: &Path, shape: &XmlShape) -> Result<Json, String> {
    let mut reader = Reader::from_str(data);
    let mut open = vec![Open::default()];
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(start) => {
                let begun = begun(&start, open.last())?;
                open.push(begun);
                if open.len() > DEEPEST {
                    return Err("too deep".to_owned());
                }
            }
            Event::Empty(start) => {
                let begun = begun(&start, open.last())?;
                end(begun, &mut open, shape)?;
            }
            Event::End(_) => {
                let ended = open.pop().filter(|_| !open.is_empty()).ok_or("an end without a beginning")?;
                end(ended, &mut open, shape)?;
            }
            Event::Text(text) => append(&mut open, &text.xml10_content()),
            Event::CData(text) => append(&mut open, &text.xml10_content()),
            Event::GeneralRef(name) => {
                let known = match name.resolve_char_ref().map_err(|error| error.to_string())? {
                    Some(character) => character.to_string(),
                    None => resolve_predefined_entity(&name)
                        .ok_or_else(|| format!("it refers to the unknown entity `{}`", &*name))?
                        .to_owned(),
                };
                append(&mut open, &known);
            }
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::DocType(_) => return Err("it has a document type declaration".to_owned()),
            Event::Eof if open.len() > 1 => return Err("it ends early".to_owned()),
            Event::Eof => break,
        }
    }
    let mut found = Json::Object(open.pop().unwrap_or_default().members);
    for step in asked.steps() {
        let member = found.as_object_mut().and_then(|members| members.remove(&step.name));
        let is_it = |entry: &Json| {
            step.keys.iter().all(|(key, value)| entry.get(key).and_then(Json::as_str) == Some(value))
        };
        found = match member {
            Some(Json::Array(entries)) if !step.keys.is_empty() => {
                entries.into_iter().find(is_it).unwrap_or_else(nothing)
            }
            Some(other) if step.keys.is_empty() || is_it(&other) => other,
            _ => nothing(),
        };
    }
    Ok(found)
}

fn nothing() -> Json {
    Json::Object(Map::new())
}

fn append(open: &mut [Open], text: &str) {
    if let Some(open) = open.last_mut() {
        open.text.push_str(text);
    }
}

fn begun(start: &BytesStart, parent: Option<&Open>) -> Result<Open, String> {
    let name = start.local_name().into_inner().to_owned();
    let path = format!("{}/{name}", parent.map_or("", |parent| &parent.path));
    let mut attributes = BTreeSet::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        if attribute.key.as_namespace_binding().is_none() {
            attributes.insert(attribute.key.local_name().into_inner().to_owned());
        }
    }
    Ok(Open { name, path, attributes, ..Open::default() })
}

/// Puts what has ended into what is around it.
fn end(ended: Open, open: &mut [Open], shape: &XmlShape) -> Result<(), String> {
    let Open { name, path, text, mut members, attributes } = ended;
    let parent = open.last_mut().ok_or("an end without a beginning")?;
    parent.attributes.extend(attributes.iter().cloned());
    let value = match (members.is_empty(), text.trim().is_empty()) {
        (true, true) => Json::String(String::new()),
        (true, false) => Json::String(text),
        (false, true) => {
            if !attributes.is_empty() {
                members.insert(ATTRIBUTES.to_owned(), attributes.into_iter().collect());
            }
            Json::Object(members)
        }
        (false, false) => return Err(format!("{path}: text stands between elements")),
    };
    match parent.members.get_mut(&name) {
        Some(Json::Array(values)) => values.push(value),
        Some(once) => {
            let first = once.take();
            *once = Json::Array(vec![first, value]);
        }
        None if shape.lists.contains_key(&path) => {
            parent.members.insert(name, Json::Array(vec![value]));
        }
        None => drop(parent.members.insert(name, value)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::device::Profiles;
    use crate::openconfig::{Interface, PortState};
    use crate::plan::tests::SCHEMA;
    use crate::vlan::VlanId;

    fn shape() -> XmlShape {
        let list =
            |path: &str, key: &[&str]| (path.to_owned(), key.iter().map(|key| key.to_string()).collect());
        let lists = [list("/top/list", &["name"]), list("/top/list/value", &[])];
        XmlShape {
            namespace: "urn:top".to_owned(),
            namespaces: BTreeMap::from([("more".to_owned(), "urn:m&re".to_owned())]),
            lists: lists.into_iter().collect(),
            plain_operations: false,
        }
    }

    fn read(path: &str, data: &str) -> Result<Json, String> {
        document(data, &path.parse().unwrap(), &shape())
    }

    #[test]
    fn a_subtree_is_a_document_whatever_its_namespaces() {
        let entry = "<name>a&amp;b</name><value>1</value><empty/><x> y &#65; </x>";
        for (open, close) in
            [("<top>", "</top>"), ("<top xmlns='urn:x'>", "</top>"), ("<n:top xmlns:n='u'>", "</n:top>")]
        {
            let data = format!("<other/>\n{open}\n  <list>{entry}</list>\n{close}\n");
            let entry = json!({"name": "a&b", "value": ["1"], "empty": "", "x": " y A "});
            assert_eq!(read("/top", &data), Ok(json!({"list": [entry.clone()]})));
            assert_eq!(read("/top/list", &data), Ok(json!([entry.clone()])));
            assert_eq!(read("/more:top/list[name=a&b]", &data), Ok(entry));
        }
        let other = "<top><list><name>c</name></list></top>";
        for nothing in ["/top/list[name=a]", "/top/more", "/else/where"] {
            assert_eq!(read(nothing, other), Ok(json!({})), "{nothing}");
        }
        assert_eq!(read("/top", ""), Ok(json!({})));
        assert_eq!(read("/top/b", "<top><b>1</b><b>2</b></top>"), Ok(json!(["1", "2"])));
    }

    #[test]
    fn what_attributes_say_is_not_passed_over() {
        let data = "<top a:at='1' xmlns:a='u'><list><name>a</name><v inactive='inactive'>1</v></list>\
                    <list><name>b</name></list></top>";
        let expected = json!({"@": ["at", "inactive"], "list": [
            {"name": "a", "v": "1", "@": ["inactive"]}, {"name": "b"}]});
        assert_eq!(read("/top", data), Ok(expected));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for wrong in
            ["<top>", "<top></list>", "</top>", "<top>x<a/></top>", "<top>&x;</top>", "<!DOCTYPE a><top/>"]
        {
            assert!(read("/top", wrong).is_err(), "{wrong}");
        }
        let deep = "<x>".repeat(100) + &"</x>".repeat(100);
        assert_eq!(read("/top", &deep), Err("too deep".to_owned()));
    }

    #[test]
    fn a_filter_names_the_node() {
        let filter = |path: &str| filter(&path.parse().unwrap(), &shape());
        assert_eq!(
            filter("/top/list[name=<a>]/more:x/y").unwrap(),
            "<top xmlns=\"urn:top\"><list><name>&lt;a&gt;</name><x xmlns=\"urn:m&amp;re\"><y></y></x></list></top>"
        );
        assert!(filter("/top/what:x").is_err());
    }

    #[test]
    fn a_port_of_which_a_part_is_not_in_force_cannot_be_read() {
        let native = Native::of(&Profiles::default().get("juniper_junos_netconf").unwrap()).unwrap();
        let port = |name: &str, family: &str| {
            format!(
                "<interface><name>{name}</name><unit><name>0</name><family>{family}</family></unit></interface>"
            )
        };
        let member = "<ethernet-switching><vlan><members>7</members></vlan></ethernet-switching>";
        let ports = [
            port("ge-0/0/1", member),
            port("ge-0/0/2", &member.replace("<members", "<members inactive='inactive'")),
            port("ge-0/0/3", "<inet/>"),
            port("ge-0/0/4", member).replace("<name>0", "<name>1"),
        ];
        let answer = format!("<configuration><interfaces>{}</interfaces></configuration>", ports.concat());
        let read = |name: &str| {
            let paths = vec![Interface::new(name).entry];
            let reads = ReadSet { paths, schema: SCHEMA.clone() };
            let slice = native.understood(false, std::slice::from_ref(&answer), &reads)?;
            Ok::<_, String>(PortState::of(&slice, name))
        };
        assert_eq!(read("ge-0/0/1").unwrap().unwrap().access, VlanId::new(7).ok());
        assert!(read("ge-0/0/2").unwrap_err().contains("a part of it is inactive"));
        assert_eq!(read("ge-0/0/3"), Ok(None));
        assert!(read("ge-0/0/4").unwrap_err().contains("unit 1 of it is switched"));
        assert_eq!(read("ge-0/0/9"), Ok(None));
    }
}
