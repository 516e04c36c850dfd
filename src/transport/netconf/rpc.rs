//! The rpcs Mercury sends (RFC 6241 7, 8), as text. Pure.

use std::time::Duration;

use quick_xml::escape::escape;

use super::xml::{BASE, MONITORING};
use crate::path::{Path, Step};
use crate::transport::Store;

/// A configuration datastore (RFC 6241 5.1, 8.3, 8.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datastore {
    Candidate,
    Running,
    Startup,
}

/// What a reply to an rpc must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Ok,
    Data,
    /// A module's text.
    Schema,
}

/// An operation, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rpc {
    operation: String,
    pub answer: Answer,
}

impl From<Store> for Datastore {
    fn from(store: Store) -> Self {
        match store {
            Store::Running => Self::Running,
            Store::Startup => Self::Startup,
        }
    }
}

impl Datastore {
    fn element(self) -> &'static str {
        match self {
            Self::Candidate => "<candidate/>",
            Self::Running => "<running/>",
            Self::Startup => "<startup/>",
        }
    }
}

/// The hello of this client (RFC 6241 8.1).
pub fn hello() -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<hello xmlns=\"{BASE}\"><capabilities>\
         <capability>urn:ietf:params:netconf:base:1.0</capability>\
         <capability>urn:ietf:params:netconf:base:1.1</capability>\
         </capabilities></hello>"
    )
}

impl Rpc {
    fn ok(operation: String) -> Self {
        Self { operation, answer: Answer::Ok }
    }

    /// The message with its id (RFC 6241 4.1).
    pub fn message(&self, id: &str) -> String {
        let operation = &self.operation;
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<rpc message-id=\"{id}\" xmlns=\"{BASE}\">{operation}</rpc>"
        )
    }

    /// RFC 6241 7.1 with the filter of [`subtree_filter`].
    pub fn get_config(source: Datastore, filter: &str) -> Self {
        let operation = format!(
            "<get-config><source>{}</source><filter type=\"subtree\">{filter}</filter></get-config>",
            source.element()
        );
        Self { operation, answer: Answer::Data }
    }

    /// RFC 6241 7.7 with the filter of [`subtree_filter`]: running's configuration, and state.
    pub fn get(filter: &str) -> Self {
        let operation = format!("<get><filter type=\"subtree\">{filter}</filter></get>");
        Self { operation, answer: Answer::Data }
    }

    /// RFC 6241 7.2 with default-operation `merge`: `config` names the operation of each target, and
    /// the containers above them need not be there. With `none` netconfd 2.13 refuses those.
    pub fn edit_config(target: Datastore, config: &str, rollback_on_error: bool) -> Self {
        let error_option =
            if rollback_on_error { "<error-option>rollback-on-error</error-option>" } else { "" };
        Self::ok(format!(
            "<edit-config><target>{}</target><default-operation>merge</default-operation>{error_option}\
             <config>{config}</config></edit-config>",
            target.element()
        ))
    }

    /// RFC 6022 3.1: a module as YANG; without a revision, the one there is.
    pub fn get_schema(module: &str, revision: Option<&str>) -> Self {
        let version = revision.map(|date| format!("<version>{}</version>", escape(date))).unwrap_or_default();
        let operation = format!(
            "<get-schema xmlns=\"{MONITORING}\"><identifier>{}</identifier>{version}<format>yang</format></get-schema>",
            escape(module)
        );
        Self { operation, answer: Answer::Schema }
    }

    /// RFC 6241 7.5.
    pub fn lock(target: Datastore) -> Self {
        Self::ok(format!("<lock><target>{}</target></lock>", target.element()))
    }

    /// RFC 6241 7.6.
    pub fn unlock(target: Datastore) -> Self {
        Self::ok(format!("<unlock><target>{}</target></unlock>", target.element()))
    }

    /// RFC 6241 8.3.4.1: for good.
    pub fn commit() -> Self {
        Self::ok("<commit/>".to_owned())
    }

    /// RFC 6241 8.4.5.1: undone by the server after `timeout`, which counts whole seconds.
    pub fn confirmed_commit(timeout: Duration, persist: Option<&str>) -> Self {
        let seconds = (timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0)).max(1);
        let persist = persist.map(|id| format!("<persist>{}</persist>", escape(id))).unwrap_or_default();
        Self::ok(format!(
            "<commit><confirmed/><confirm-timeout>{seconds}</confirm-timeout>{persist}</commit>"
        ))
    }

    /// RFC 6241 8.4.5.1: the commit that makes a confirmed one permanent.
    pub fn confirm(persist_id: Option<&str>) -> Self {
        match persist_id {
            Some(id) => Self::ok(format!("<commit><persist-id>{}</persist-id></commit>", escape(id))),
            None => Self::commit(),
        }
    }

    /// RFC 6241 8.4.4.1.
    pub fn cancel_commit(persist_id: Option<&str>) -> Self {
        let id = persist_id.map(|id| format!("<persist-id>{}</persist-id>", escape(id))).unwrap_or_default();
        Self::ok(format!("<cancel-commit>{id}</cancel-commit>"))
    }

    /// RFC 6241 8.3.4.2.
    pub fn discard_changes() -> Self {
        Self::ok("<discard-changes/>".to_owned())
    }

    /// RFC 6241 7.3, running to startup (8.7.5.1).
    pub fn save() -> Self {
        Self::ok(
            "<copy-config><target><startup/></target><source><running/></source></copy-config>".to_owned(),
        )
    }

    /// Asks for nothing (RFC 6241 6.4.2).
    pub fn nudge() -> Self {
        Self::get_config(Datastore::Running, "")
    }

    /// RFC 6241 7.8.
    pub fn close_session() -> Self {
        Self::ok("<close-session/>".to_owned())
    }
}

/// The subtree filter (RFC 6241 6) that selects `paths`: sorted, none inside another. List keys
/// become content matches. It fails with the name of a module that `namespace` does not know.
pub fn subtree_filter<'n>(
    paths: &[Path],
    namespace: impl Fn(&str) -> Option<&'n str>,
) -> Result<String, String> {
    let mut filter = String::new();
    let mut open: Vec<&Step> = Vec::new();
    for path in paths {
        // The content match of an entry's key selects the key as well (RFC 6241 6.2.5).
        let steps = &path.steps()[..path.steps().len() - usize::from(path.is_key())];
        let shared = open.iter().zip(steps).take_while(|(one, other)| **one == other.as_ref()).count();
        close(&mut open, shared, &mut filter);
        for step in &steps[shared..] {
            filter.push('<');
            filter.push_str(&step.name);
            if open.last().is_none_or(|parent| parent.module != step.module) {
                let uri = namespace(&step.module).ok_or_else(|| step.module.clone())?;
                filter.push_str(&format!(" xmlns=\"{}\"", escape(uri)));
            }
            filter.push('>');
            for (key, value) in &step.keys {
                filter.push_str(&format!("<{key}>{}</{key}>", escape(value.as_str())));
            }
            open.push(step);
        }
    }
    close(&mut open, 0, &mut filter);
    Ok(filter)
}

/// Ends all but the first `keep` open elements.
fn close(open: &mut Vec<&Step>, keep: usize, filter: &mut String) {
    while open.len() > keep {
        if let Some(step) = open.pop() {
            filter.push_str(&format!("</{}>", step.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(paths: &[&str]) -> Result<String, String> {
        let mut paths: Vec<Path> = paths.iter().map(|path| Path::parse(path).unwrap()).collect();
        paths.sort();
        subtree_filter(&paths, |module| match module {
            "a" => Some("urn:a"),
            "b" => Some("urn:b&c"),
            _ => None,
        })
    }

    #[test]
    fn filters_share_ancestors_and_match_keys() {
        assert_eq!(filter(&[]).unwrap(), "");
        assert_eq!(
            filter(&[
                "/a:x/l[k='<1>'][j='2']/b:e/c",
                "/a:x/l[k='<1>'][j='2']/b:e/d",
                "/a:x/l[k='a'][j='2']",
                "/b:y"
            ])
            .unwrap(),
            "<x xmlns=\"urn:a\"><l><k>&lt;1&gt;</k><j>2</j><e xmlns=\"urn:b&amp;c\"><c></c><d></d></e></l>\
             <l><k>a</k><j>2</j></l></x><y xmlns=\"urn:b&amp;c\"></y>"
        );
        assert_eq!(
            filter(&["/a:l[k='1']/k", "/a:l[k='1']/c/k"]).unwrap(),
            "<l xmlns=\"urn:a\"><k>1</k><c><k></k></c></l>"
        );
        // Back in the parent's module the namespace is named again.
        assert_eq!(
            filter(&["/a:x/b:y/a:z"]).unwrap(),
            "<x xmlns=\"urn:a\"><y xmlns=\"urn:b&amp;c\"><z xmlns=\"urn:a\"></z></y></x>"
        );
        assert_eq!(filter(&["/a:x/q:y"]), Err("q".to_owned()));
    }

    #[test]
    fn timers_are_rounded_up_and_ids_escaped() {
        let text = Rpc::confirmed_commit(Duration::from_millis(1_001), Some("a<b")).message("7");
        assert!(text.contains("<confirm-timeout>2</confirm-timeout><persist>a&lt;b</persist>"), "{text}");
        assert!(
            text.contains(r#"<rpc message-id="7" xmlns="urn:ietf:params:xml:ns:netconf:base:1.0"><commit>"#)
        );
        let text = Rpc::confirmed_commit(Duration::ZERO, None).message("1");
        assert!(text.contains("<confirm-timeout>1</confirm-timeout></commit>"), "{text}");
        assert!(Rpc::confirm(None).message("1").contains("<commit/>"));
        assert!(Rpc::cancel_commit(Some("&")).message("1").contains("<persist-id>&amp;</persist-id>"));
    }
}
