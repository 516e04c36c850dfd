//! A forward-only reader for messages from an untrusted peer: no document type, no entities but
//! XML's own, bounded depth, names by namespace and never by prefix.

use std::borrow::Cow;

use quick_xml::NsReader;
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, PrefixDeclaration, ResolveResult};

use super::framing::MAX_MESSAGE;

/// The namespace of NETCONF's own elements (RFC 6241 3.1).
pub const BASE: &str = "urn:ietf:params:xml:ns:netconf:base:1.0";

/// The namespace of what a server tells of itself (RFC 6022).
pub const MONITORING: &str = "urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring";

/// Deepest nesting that is read; models are some twenty levels deep.
const MAX_DEPTH: usize = 100;

/// Why a message is not what it has to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    #[error("it is not UTF-8")]
    Encoding,
    #[error("it is not well-formed XML: {0}")]
    Syntax(String),
    #[error("it has a document type declaration")]
    Doctype,
    #[error("it is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    #[error("with its namespaces written out it is longer than {MAX_MESSAGE} bytes")]
    TooLong,
    #[error("it refers to the unknown entity `{0}`")]
    Entity(String),
    #[error("it is <{found}>, not <{expected}> of {BASE}")]
    Root { expected: &'static str, found: String },
    #[error("it has no <{0}>")]
    Missing(&'static str),
    #[error("it has more than one <{0}>")]
    Repeated(&'static str),
    #[error("its <{element}> is `{text}`")]
    Value { element: &'static str, text: String },
}

/// Whose an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// [`BASE`]
    Base,
    /// [`MONITORING`]
    Monitoring,
    Others,
}

/// A position in one message, always inside its root element.
pub struct Cursor<'a> {
    text: &'a str,
    reader: NsReader<&'a [u8]>,
    depth: usize,
    /// Where the last event began.
    before: usize,
    attributes: Vec<(String, String)>,
}

enum Item<'a> {
    /// An element begins.
    Open {
        start: BytesStart<'a>,
        of: Of,
    },
    Text(Cow<'a, str>),
    Close,
    Eof,
}

impl<'a> Cursor<'a> {
    /// Enters the root element, which must be NETCONF's `expected`.
    pub fn open(bytes: &'a [u8], expected: &'static str) -> Result<Self, XmlError> {
        let text = std::str::from_utf8(bytes).map_err(|_| XmlError::Encoding)?;
        let text = text.trim_start_matches('\u{feff}');
        let mut reader = NsReader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        let mut cursor = Self { text, reader, depth: 0, before: 0, attributes: Vec::new() };
        let (start, of) = loop {
            match cursor.next()? {
                Item::Open { start, of } => break (start, of),
                Item::Text(_) => {}
                Item::Close | Item::Eof => return Err(XmlError::Missing(expected)),
            }
        };
        if of != Of::Base || start.local_name().into_inner() != expected {
            return Err(XmlError::Root { expected, found: start.name().into_inner().to_owned() });
        }
        for attribute in start.attributes() {
            let attribute = attribute.map_err(syntax)?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(syntax)?;
            cursor.attributes.push((attribute.key.into_inner().to_owned(), value.into_owned()));
        }
        Ok(cursor)
    }

    /// The root's attribute `name`, which has no prefix.
    pub fn attribute(&self, name: &str) -> Option<String> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    /// Enters the next child that is NETCONF's own and gives its name; other elements and text
    /// are passed over. None: the element that was open has ended.
    pub fn child(&mut self) -> Result<Option<&'a str>, XmlError> {
        loop {
            match self.known_child()? {
                Some((Of::Base, name)) => return Ok(Some(name)),
                Some(_) => self.skip()?,
                None => return Ok(None),
            }
        }
    }

    /// The same for every child that is not another's.
    pub fn known_child(&mut self) -> Result<Option<(Of, &'a str)>, XmlError> {
        loop {
            match self.next()? {
                Item::Open { of: Of::Others, .. } => self.skip()?,
                Item::Open { start, of } => {
                    let name =
                        self.slice(self.before + 1, self.before + 1 + start.name().into_inner().len())?;
                    return Ok(Some((of, name.rsplit(':').next().unwrap_or(name))));
                }
                Item::Text(_) => {}
                Item::Close | Item::Eof => return Ok(None),
            }
        }
    }

    /// Passes over the rest of the open element.
    pub fn skip(&mut self) -> Result<(), XmlError> {
        self.each(|_, _| Ok(()))
    }

    /// The text of the open element without blanks around it; what is nested in it is passed over.
    pub fn text(&mut self) -> Result<String, XmlError> {
        let level = self.depth;
        let mut text = String::new();
        self.each(|cursor, item| {
            if let (Item::Text(piece), true) = (item, cursor.depth == level) {
                text.push_str(&piece);
            }
            Ok(())
        })?;
        Ok(text.trim().to_owned())
    }

    /// The content of the open element as it was sent.
    pub fn raw(&mut self) -> Result<&'a str, XmlError> {
        let from = self.position();
        self.skip()?;
        self.slice(from, self.before)
    }

    /// The content of the open element, each top-level element with all namespace declarations
    /// that were in scope around it, so that it means the same on its own.
    pub fn content(&mut self) -> Result<String, XmlError> {
        let scope: Vec<(String, String)> = self.reader.resolver().bindings().map(declaration).collect();
        let inside = self.depth + 1;
        let mut content = String::new();
        let mut copied = self.position();
        self.each(|cursor, item| {
            if let (Item::Open { start, .. }, true) = (item, cursor.depth == inside) {
                let name_end = cursor.before + 1 + start.name().into_inner().len();
                content.push_str(cursor.slice(copied, name_end)?);
                copied = name_end;
                for (key, declaration) in &scope {
                    if start.try_get_attribute(key.as_str()).map_err(syntax)?.is_none() {
                        content.push_str(declaration);
                    }
                }
                // One long declaration around many elements would grow without end.
                if content.len() > MAX_MESSAGE {
                    return Err(XmlError::TooLong);
                }
            }
            Ok(())
        })?;
        content.push_str(self.slice(copied, self.before)?);
        Ok(content)
    }

    /// Makes sure that nothing follows the root element.
    pub fn end(mut self) -> Result<(), XmlError> {
        loop {
            match self.next()? {
                Item::Text(_) => {}
                Item::Eof => return Ok(()),
                _ => return Err(XmlError::Syntax("something follows the root element".to_owned())),
            }
        }
    }

    /// Goes through the rest of the open element and past its end.
    fn each(
        &mut self,
        mut visit: impl FnMut(&Self, Item<'a>) -> Result<(), XmlError>,
    ) -> Result<(), XmlError> {
        let outside = self.depth - 1;
        loop {
            match self.next()? {
                Item::Close if self.depth == outside => return Ok(()),
                item => visit(self, item)?,
            }
        }
    }

    fn next(&mut self) -> Result<Item<'a>, XmlError> {
        loop {
            self.before = self.position();
            let (namespace, event) = self.reader.read_resolved_event().map_err(syntax)?;
            return match event {
                Event::Start(start) | Event::Empty(start) => {
                    let of = match namespace {
                        ResolveResult::Bound(Namespace(uri)) if uri == BASE => Of::Base,
                        ResolveResult::Bound(Namespace(uri)) if uri == MONITORING => Of::Monitoring,
                        ResolveResult::Bound(_) | ResolveResult::Unbound => Of::Others,
                        ResolveResult::Unknown(prefix) => {
                            return Err(XmlError::Syntax(format!("prefix `{prefix}` is not declared")));
                        }
                    };
                    self.depth += 1;
                    if self.depth > MAX_DEPTH {
                        return Err(XmlError::TooDeep);
                    }
                    Ok(Item::Open { start, of })
                }
                Event::End(_) => {
                    self.depth -= 1;
                    Ok(Item::Close)
                }
                Event::Text(text) => self.text_item(text.xml10_content()),
                Event::CData(text) => self.text_item(text.xml10_content()),
                Event::GeneralRef(reference) => {
                    let known = match reference.resolve_char_ref().map_err(syntax)? {
                        Some(character) => Some(Cow::Owned(character.to_string())),
                        None => resolve_predefined_entity(&reference).map(Cow::Borrowed),
                    };
                    self.text_item(known.ok_or_else(|| XmlError::Entity(reference.to_string()))?)
                }
                Event::DocType(_) => Err(XmlError::Doctype),
                Event::Comment(_) | Event::PI(_) | Event::Decl(_) => continue,
                Event::Eof if self.depth > 0 => Err(XmlError::Syntax("it ends early".to_owned())),
                Event::Eof => Ok(Item::Eof),
            };
        }
    }

    fn text_item(&self, text: Cow<'a, str>) -> Result<Item<'a>, XmlError> {
        if self.depth == 0 && !text.trim().is_empty() {
            return Err(XmlError::Syntax("text stands outside the root element".to_owned()));
        }
        Ok(Item::Text(text))
    }

    fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    fn slice(&self, from: usize, to: usize) -> Result<&'a str, XmlError> {
        self.text.get(from..to).ok_or_else(|| XmlError::Syntax("a tag has no end".to_owned()))
    }
}

/// The attribute's name, and the whole attribute as it is written behind an element's name. The
/// resolver keeps values escaped, as they were sent.
fn declaration((prefix, Namespace(uri)): (PrefixDeclaration, Namespace)) -> (String, String) {
    let key = match prefix {
        PrefixDeclaration::Default => "xmlns".to_owned(),
        PrefixDeclaration::Named(prefix) => format!("xmlns:{prefix}"),
    };
    let quote = if uri.contains('"') { '\'' } else { '"' };
    let attribute = format!(" {key}={quote}{uri}{quote}");
    (key, attribute)
}

fn syntax(error: impl std::fmt::Display) -> XmlError {
    XmlError::Syntax(error.to_string())
}
