//! Edits as the content of `<config>` in an edit-config (RFC 6241 7.2).
//!
//! Every node that changes carries its own `operation`, so the edit is right whatever the
//! default-operation is and containers on the way are never more than the way.

use std::fmt::Write;
use std::sync::Arc;

use crate::path::Step;
use crate::render::RenderError;
use crate::slice::{Edit, Operation};

const NETCONF: &str = "urn:ietf:params:xml:ns:netconf:base:1.0";

/// One element on the way to, or at, an edit's target.
struct Element<'a> {
    step: &'a Arc<Step>,
    operation: Option<Operation>,
    value: Option<&'a str>,
    children: Vec<Element<'a>>,
}

/// Pretty-printed XML, two spaces a level; empty for no edits. `namespace` maps a module to its URI.
pub fn render<'n>(
    edits: &[Edit],
    namespace: impl Fn(&str) -> Option<&'n str>,
) -> Result<String, RenderError> {
    let mut roots: Vec<Element> = Vec::new();
    for edit in edits {
        place(&mut roots, edit)?;
    }
    let mut xml = String::new();
    for root in &roots {
        root.print(&mut xml, 0, "", true, &namespace)?;
    }
    Ok(xml)
}

fn place<'a>(roots: &mut Vec<Element<'a>>, edit: &'a Edit) -> Result<(), RenderError> {
    let conflict = |why| RenderError::Conflict { target: edit.target.to_string(), why };
    let (last, way) = edit.target.steps().split_last().ok_or_else(|| conflict("it has no target"))?;
    let mut level = roots;
    for step in way {
        let at = match level.iter().position(|e| e.step == step && e.value.is_none()) {
            Some(at) if level[at].operation == Some(Operation::Remove) => {
                return Err(conflict("an entry above it is removed"));
            }
            Some(at) => at,
            None => {
                level.push(Element { step, operation: None, value: None, children: Vec::new() });
                level.len() - 1
            }
        };
        level = &mut level[at].children;
    }
    if level.iter().any(|e| e.step == last && e.value.is_none()) {
        return Err(conflict("the same node is already changed"));
    }
    let (operation, value) = (Some(edit.operation), edit.value.as_deref());
    level.push(Element { step: last, operation, value, children: Vec::new() });
    Ok(())
}

impl Element<'_> {
    fn print<'n>(
        &self,
        xml: &mut String,
        depth: usize,
        parent_module: &str,
        is_root: bool,
        namespace: &impl Fn(&str) -> Option<&'n str>,
    ) -> Result<(), RenderError> {
        let Step { module, name, keys } = self.step.as_ref();
        let indent = "  ".repeat(depth);
        // Writing to a String cannot fail.
        let mut put = |text: std::fmt::Arguments| xml.write_fmt(text).unwrap_or_default();
        put(format_args!("{indent}<{name}"));
        if module != parent_module {
            let uri = namespace(module)
                .ok_or_else(|| RenderError::UnknownModule { module: module.clone(), target: name.clone() })?;
            put(format_args!(" xmlns=\"{}\"", escape(uri)));
        }
        if is_root {
            put(format_args!(" xmlns:nc=\"{NETCONF}\""));
        }
        if let Some(operation) = self.operation {
            let operation = match operation {
                Operation::Create => "create",
                Operation::Merge => "merge",
                Operation::Remove => "remove",
            };
            put(format_args!(" nc:operation=\"{operation}\""));
        }
        let is_leaf = keys.is_empty() && self.children.is_empty();
        match self.value {
            Some(value) => {
                put(format_args!("{}>{}</{name}>\n", identity_namespace(value, namespace), escape(value)));
                return Ok(());
            }
            None if is_leaf => {
                put(format_args!("/>\n"));
                return Ok(());
            }
            None => put(format_args!(">\n")),
        }
        for (key, value) in keys {
            put(format_args!("{indent}  <{key}>{}</{key}>\n", escape(value)));
        }
        for child in &self.children {
            child.print(xml, depth + 1, module, false, namespace)?;
        }
        xml.write_fmt(format_args!("{indent}</{name}>\n")).unwrap_or_default();
        Ok(())
    }
}

/// An identity is written `module:name`; in XML its prefix has to be declared (RFC 7950 9.10.3).
fn identity_namespace<'n>(value: &str, namespace: &impl Fn(&str) -> Option<&'n str>) -> String {
    match value.split_once(':').and_then(|(module, _)| Some((module, namespace(module)?))) {
        Some((module, uri)) => format!(" xmlns:{module}=\"{}\"", escape(uri)),
        None => String::new(),
    }
}

/// As text; a carriage return would reach the device as a line feed (XML 1.0, 2.11).
fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).replace('\r', "&#13;")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;
    use crate::path::Path;
    use crate::plan::openconfig::Interface;
    use crate::plan::tests::SCHEMA;
    use crate::slice::{Slice, Value};

    fn edit(operation: Operation, target: &Path, value: Option<&str>) -> Edit {
        Edit { operation, target: target.clone(), value: value.map(str::to_owned) }
    }

    fn rendered(edits: &[Edit]) -> Result<String, RenderError> {
        render(edits, |module| SCHEMA.namespace(module))
    }

    #[test]
    fn edits_that_do_not_fit_together_are_refused() {
        let eth1 = Interface::new("eth1");
        let remove = edit(Operation::Remove, &eth1.entry, None);
        let create = edit(Operation::Create, &eth1.entry, None);
        let mtu = edit(Operation::Merge, &eth1.mtu, Some("9000"));
        let conflict = |edits: &[&Edit]| {
            let edits: Vec<Edit> = edits.iter().map(|edit| (*edit).clone()).collect();
            rendered(&edits).unwrap_err().to_string()
        };
        assert!(rendered(&[create.clone(), mtu.clone()]).is_ok());
        assert!(conflict(&[&remove, &mtu]).ends_with("an entry above it is removed"));
        assert!(conflict(&[&mtu, &remove]).ends_with("the same node is already changed"));
        assert!(conflict(&[&remove, &create]).ends_with("the same node is already changed"));
        assert!(conflict(&[&edit(Operation::Remove, &Path::default(), None)]).ends_with("it has no target"));
        let unknown = edit(Operation::Merge, &eth1.entry.child("acme:colour"), Some("red"));
        assert_eq!(conflict(&[&unknown]), "module `acme` of colour is not in the schema");
        assert_eq!(rendered(&[]), Ok(String::new()));
    }

    #[test]
    fn values_of_one_list_are_siblings_and_ports_share_their_tree() {
        let [one, other] =
            ["eth1", "eth2"].map(|port| Interface::new(port).switched_vlan(&Slice::default()).trunk);
        let edits = [(&one, "1..2"), (&other, "3"), (&one, "7")];
        let xml =
            rendered(&edits.map(|(target, value)| edit(Operation::Merge, target, Some(value)))).unwrap();
        assert_eq!(xml.matches("<interfaces ").count(), 1);
        assert_eq!(xml.matches("<interface>").count(), 2);
        let list = |value| format!("<trunk-vlans nc:operation=\"merge\">{value}</trunk-vlans>");
        assert!(xml.contains(&format!("{}\n          {}\n", list("1..2"), list("7"))), "{xml}");
    }

    proptest! {
        /// libyang reads back what was meant, and no text ends a message or an element.
        #[test]
        fn any_text_stays_text(name in "[^\\pC'\"]{1,20}|[^\\pC']{0,9}]]>'x|[^\\pC']{1,20}", text in "[^\\pC]{1,40}|[^\\pC]{0,9}]]>[^\\pC]{0,9}|</a>|[a\n\r\t]{3}") {
            let port = Interface::new(&name);
            let wanted = [
                (port.entry.child("name"), &name),
                (port.name.clone(), &name),
                (port.description.clone(), &text),
            ];
            let edits = wanted[1..].iter().map(|(path, value)| edit(Operation::Merge, path, Some(value)));
            let xml = rendered(&edits.collect::<Vec<_>>()).unwrap();
            prop_assert!(!xml.contains("]]>"), "{}", xml);
            let read = SCHEMA.read_xml(&xml.replace(" nc:operation=\"merge\"", "")).unwrap();
            let wanted = wanted.map(|(path, value)| (path, Value::Leaf(value.clone())));
            let differ = read.differences(&Slice::from_iter(wanted));
            prop_assert_eq!(differ, []);
        }
    }
}
