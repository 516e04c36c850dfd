//! From a NETCONF reply to the data in it.

use std::collections::BTreeMap;

use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;

/// The namespace of RFC 6241's own elements.
const BASE: &str = "urn:ietf:params:xml:ns:netconf:base:1.0";

/// Most that the content may grow to, in bytes, when its namespaces are written out.
const MAX_CONTENT: usize = 32 << 20;

/// What is in `<data>`, with the namespaces that the device declared around it.
///
/// `xml` is an `<rpc-reply>`, a `<data>`, or already the content. Any other element of NETCONF
/// itself is an error: skipped as unknown, an `<rpc-error>` would read as an empty configuration.
pub(super) fn content(xml: &str) -> Result<String, String> {
    let mut reader = NsReader::from_str(xml);
    let mut around = BTreeMap::new();
    let mut open = 0;
    let mut content = String::with_capacity(xml.len());
    loop {
        let start = position(&reader);
        let (namespace, event) = reader.read_resolved_event().map_err(|error| error.to_string())?;
        let netconf = matches!(namespace, ResolveResult::Bound(name) if name.as_ref() == BASE);
        match event {
            Event::Start(tag) | Event::Empty(tag) if netconf => {
                if !matches!(tag.local_name().as_ref(), "rpc-reply" | "data") {
                    return Err(format!("element `{}` where data should be", tag.name().as_ref()));
                }
                around.extend(declarations(&tag)?);
                // An empty element ends at once and brings no end event.
                open += usize::from(!xml[..position(&reader)].ends_with("/>"));
            }
            Event::Start(tag) => {
                reader.read_to_end(tag.name()).map_err(|error| error.to_string())?;
                append(&mut content, &xml[start..position(&reader)], &tag, &around)?;
            }
            Event::Empty(tag) => append(&mut content, &xml[start..position(&reader)], &tag, &around)?,
            Event::End(_) => open -= 1,
            Event::Text(text) if text.chars().all(char::is_whitespace) => {}
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Eof if open == 0 => return Ok(content),
            Event::Eof => return Err("it ends too early".to_owned()),
            Event::DocType(_) => return Err("a DOCTYPE".to_owned()),
            _ => return Err("text outside of any element".to_owned()),
        }
    }
}

fn position(reader: &NsReader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

/// The namespace declarations of one element, by attribute name, values still escaped.
fn declarations(tag: &BytesStart<'_>) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        if attribute.key.as_namespace_binding().is_some() {
            found.insert(attribute.key.as_ref().to_owned(), attribute.value.replace('"', "&quot;"));
        }
    }
    Ok(found)
}

/// Appends an element whose start is `tag`, with the declarations around it that it does not
/// make itself.
fn append(
    content: &mut String,
    element: &str,
    tag: &BytesStart<'_>,
    around: &BTreeMap<String, String>,
) -> Result<(), String> {
    let own = declarations(tag)?;
    let (name, rest) = element.split_at("<".len() + tag.name().as_ref().len());
    content.push_str(name);
    for (key, value) in around.iter().filter(|(key, _)| !own.contains_key(*key)) {
        content.push_str(&format!(" {key}=\"{value}\""));
    }
    if content.len() > MAX_CONTENT {
        return Err(format!("longer than {MAX_CONTENT} bytes with its namespaces written out"));
    }
    content.push_str(rest);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrapping_goes_and_its_namespaces_stay() {
        let reply = r#"<?xml version="1.0"?>
<nc:rpc-reply xmlns:nc="urn:ietf:params:xml:ns:netconf:base:1.0" xmlns:j='u"j' message-id="1"><nc:data xmlns:o="urn:o">
  <o:a j:x="1"><o:b/></o:a><a xmlns="urn:a" xmlns:o="urn:other"/></nc:data></nc:rpc-reply>"#;
        let nc = r#"xmlns:nc="urn:ietf:params:xml:ns:netconf:base:1.0""#;
        let around = format!(r#"xmlns:j="u&quot;j" {nc}"#);
        assert_eq!(
            content(reply).unwrap(),
            format!(
                r#"<o:a {around} xmlns:o="urn:o" j:x="1"><o:b/></o:a><a {around} xmlns="urn:a" xmlns:o="urn:other"/>"#
            )
        );
        let bare = r#"<a xmlns="urn:a">x</a>"#;
        assert_eq!(content(bare).unwrap(), bare);
        assert_eq!(content(&format!("<data xmlns='{BASE}'/>")).unwrap(), "");
    }

    #[test]
    fn what_is_not_data_is_refused() {
        for bad in [
            format!("<rpc-error xmlns='{BASE}'/>"),
            format!("<data xmlns='{BASE}'><ok/></data>"),
            format!("<data xmlns='{BASE}'>text</data>"),
            format!("<data xmlns='{BASE}'>&#65;</data>"),
            format!("<data xmlns='{BASE}'>"),
            format!("<data xmlns='{BASE}'><a xmlns='urn:a'></data>"),
            "<a xmlns='urn:a'/></data>".to_owned(),
            "<!DOCTYPE a><a xmlns='urn:a'/>".to_owned(),
            format!(
                "<data xmlns='{BASE}' xmlns:l='{}'>{}</data>",
                "l".repeat(1 << 20),
                "<a xmlns=''/>".repeat(40)
            ),
            "text".to_owned(),
            "<".to_owned(),
        ] {
            assert!(content(&bad).is_err(), "{bad:.100}");
        }
    }
}
