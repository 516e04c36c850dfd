//! The XML of a message as a small tree, and what it takes to write answers.

use std::sync::Arc;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

/// NETCONF's own namespace (RFC 6241 3.1).
pub(super) const BASE: &str = "urn:ietf:params:xml:ns:netconf:base:1.0";

/// No message that makes sense is deeper; it bounds our recursion.
const MAX_DEPTH: usize = 64;

/// A message that is not the XML which RFC 6241 3 allows.
#[derive(Debug, thiserror::Error)]
#[error("not well-formed: {why}")]
pub(super) struct NotXml {
    why: String,
}

#[derive(Clone, Debug)]
pub(super) struct Element {
    /// Empty: in no namespace.
    pub ns: String,
    pub name: String,
    /// Without the namespace declarations.
    pub attributes: Vec<Attribute>,
    pub children: Vec<Element>,
    pub text: String,
    scope: Arc<Scope>,
}

#[derive(Clone, Debug)]
pub(super) struct Attribute {
    pub ns: String,
    pub name: String,
    pub value: String,
}

/// Prefixes in force with their namespaces, innermost last; the default one has the empty prefix.
type Scope = Vec<(String, String)>;

impl Element {
    /// Reads one document. A DOCTYPE is refused (RFC 6241 3), so no entity can be declared.
    pub fn parse(text: &str) -> Result<Self, NotXml> {
        // The reader would let it through, and no C library takes it.
        if text.contains('\0') {
            return Err(not_xml("a NUL"));
        }
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Element> = Vec::new();
        let mut root: Option<Element> = None;
        loop {
            match reader.read_event().map_err(not_xml)? {
                Event::Start(tag) => {
                    if open.len() == MAX_DEPTH || root.is_some() {
                        return Err(not_xml("too deep, or a second document"));
                    }
                    open.push(Self::start(&tag, open.last())?);
                }
                Event::Empty(tag) => {
                    let element = Self::start(&tag, open.last())?;
                    close(element, &mut open, &mut root)?;
                }
                Event::End(_) => {
                    let element = open.pop().ok_or_else(|| not_xml("an end without a start"))?;
                    close(element, &mut open, &mut root)?;
                }
                Event::Text(text) => add_text(&mut open, &text.xml_content(XmlVersion::Implicit1_0))?,
                Event::CData(text) => add_text(&mut open, &text)?,
                Event::GeneralRef(name) => {
                    let text = match name.resolve_char_ref().map_err(not_xml)? {
                        Some(character) => character.to_string(),
                        None => quick_xml::escape::resolve_predefined_entity(&name)
                            .ok_or_else(|| not_xml("an entity that is not predefined"))?
                            .to_owned(),
                    };
                    add_text(&mut open, &text)?;
                }
                Event::DocType(_) => return Err(not_xml("a DOCTYPE")),
                Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
                Event::Eof if open.is_empty() => return root.ok_or_else(|| not_xml("empty")),
                Event::Eof => return Err(not_xml("it ends early")),
            }
        }
    }

    fn start(tag: &BytesStart<'_>, parent: Option<&Element>) -> Result<Self, NotXml> {
        let mut scope = parent.map(|parent| Arc::clone(&parent.scope)).unwrap_or_default();
        let mut plain = Vec::new();
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(not_xml)?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(not_xml)?.into_owned();
            match attribute.key.as_ref().strip_prefix("xmlns") {
                Some("") => Arc::make_mut(&mut scope).push((String::new(), value)),
                Some(prefix) if prefix.starts_with(':') => {
                    Arc::make_mut(&mut scope).push((prefix[1..].to_owned(), value));
                }
                _ => plain.push((attribute.key.as_ref().to_owned(), value)),
            }
        }
        let mut attributes = Vec::new();
        for (name, value) in plain {
            // An attribute without a prefix is in no namespace.
            let (ns, name) = match name.split_once(':') {
                Some((prefix, local)) => (bound(&scope, prefix)?, local.to_owned()),
                None => (String::new(), name),
            };
            attributes.push(Attribute { ns, name, value });
        }
        let qualified = tag.name();
        let (prefix, name) = qualified.as_ref().split_once(':').unwrap_or(("", qualified.as_ref()));
        let ns =
            if prefix.is_empty() { lookup(&scope, "").unwrap_or_default() } else { bound(&scope, prefix)? };
        Ok(Self { ns, name: name.to_owned(), attributes, children: Vec::new(), text: String::new(), scope })
    }

    /// The first child of this name in NETCONF's own namespace.
    pub fn base_child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.ns == BASE && child.name == name)
    }

    /// The namespace that a prefix means here; the empty prefix is the default namespace.
    pub fn namespace_of(&self, prefix: &str) -> Option<&str> {
        self.scope.iter().rev().find(|(known, _)| known == prefix).map(|(_, ns)| ns.as_str())
    }
}

fn lookup(scope: &Scope, prefix: &str) -> Option<String> {
    scope.iter().rev().find(|(known, _)| known == prefix).map(|(_, ns)| ns.clone())
}

fn bound(scope: &Scope, prefix: &str) -> Result<String, NotXml> {
    match prefix {
        "xml" => Ok("http://www.w3.org/XML/1998/namespace".to_owned()),
        _ => lookup(scope, prefix).ok_or_else(|| not_xml(format!("prefix `{prefix}` is not bound"))),
    }
}

fn close(element: Element, open: &mut [Element], root: &mut Option<Element>) -> Result<(), NotXml> {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None if root.is_none() => *root = Some(element),
        None => return Err(not_xml("a second document")),
    }
    Ok(())
}

fn add_text(open: &mut [Element], text: &str) -> Result<(), NotXml> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err(not_xml("text outside of the document")),
    }
    Ok(())
}

fn not_xml(why: impl ToString) -> NotXml {
    NotXml { why: why.to_string() }
}

/// Text made fit for content and for attributes in double quotes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out += &format!("&#{};", u32::from(c)),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_text_and_attributes() {
        let root = Element::parse(
            "<?xml version='1.0'?><n:rpc xmlns:n='urn:n' xmlns='urn:d' n:x='1' y='a&lt;b'>\n<z xmlns=''>a&amp;<![CDATA[<b>]]>&#65;</z><t/></n:rpc>\n",
        )
        .unwrap();
        assert_eq!((root.ns.as_str(), root.name.as_str()), ("urn:n", "rpc"));
        assert_eq!((root.attributes[0].ns.as_str(), root.attributes[1].ns.as_str()), ("urn:n", ""));
        assert_eq!(root.attributes[1].value, "a<b");
        assert_eq!((root.children[0].ns.as_str(), root.children[0].text.as_str()), ("", "a&<b>A"));
        assert_eq!(root.children[1].ns, "urn:d");
        assert_eq!(root.children[1].namespace_of("n"), Some("urn:n"));
    }

    #[test]
    fn refused() {
        for bad in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>x",
            "<p:a/>",
            "<a>&x;</a>",
            "<a>\0</a>",
            "<a>&#0;</a>",
            "<a b='&#0;'/>",
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
            "<a b='1' b='2'/>",
        ] {
            assert!(Element::parse(bad).is_err(), "{bad}");
        }
        let deep = "<a>".repeat(MAX_DEPTH + 1) + &"</a>".repeat(MAX_DEPTH + 1);
        assert!(Element::parse(&deep).is_err());
    }
}
