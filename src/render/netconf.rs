//! Edits as the content of `<config>` in an edit-config (RFC 6241 7.2).
//!
//! Every node that changes carries its own `operation`, so the edit is right whatever the
//! default-operation is and containers on the way are never more than the way.

use crate::render::RenderError;
use crate::slice::Edit;
use crate::xml::Forest;

/// Pretty-printed XML, two spaces a level; empty for no edits. `namespace` maps a module to its URI.
pub fn render<'n>(
    edits: &[Edit],
    namespace: impl Fn(&str) -> Option<&'n str>,
) -> Result<String, RenderError> {
    let mut forest = Forest::default();
    for edit in edits {
        let added = forest.add(&edit.target, Some(edit.operation), edit.value.as_deref());
        added.map_err(|why| RenderError::Conflict { target: edit.target.to_string(), why })?;
    }
    Ok(forest.print(namespace)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;
    use crate::openconfig::Interface;
    use crate::path::Path;
    use crate::plan::tests::SCHEMA;
    use crate::slice::{Operation, Slice, Value};

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
