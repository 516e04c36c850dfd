//! The datastores through whole operations, without a wire.

mod commits;
mod edits;

use std::sync::{Arc, LazyLock};

use tokio::time::Instant;

use super::rpc::Answer;
use super::store::Store;
use super::xml::{BASE, Element};
use super::{Personality, Quirks, SwitchSpec};
use crate::schema::Schema;

static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| Schema::builtin().unwrap());

const OC: &str = "xmlns=\"http://openconfig.net/yang/interfaces\"";
const ETH: &str = "xmlns=\"http://openconfig.net/yang/interfaces/ethernet\"";
const VLAN: &str = "xmlns=\"http://openconfig.net/yang/vlan\"";

struct Bench {
    store: Store,
    now: Instant,
}

impl Bench {
    fn new(personality: Personality, quirks: Quirks) -> Self {
        let spec = SwitchSpec {
            personality,
            quirks,
            ports: vec!["eth1".into(), "eth2".into()],
            vlans: vec![100, 101],
            ..SwitchSpec::default()
        };
        let mut store = Store::new(&spec, &SCHEMA).unwrap();
        assert_eq!((store.open().0, store.open().0), (1, 2));
        Self { store, now: Instant::now() }
    }

    /// The content of `<data>`, or `ok`, or the error's XML.
    fn rpc(&mut self, session: u32, operation: &str) -> Result<String, String> {
        let rpc = format!("<rpc xmlns='{BASE}' xmlns:nc='{BASE}'>{operation}</rpc>");
        let rpc = Element::parse(&rpc).unwrap();
        self.store.expire(self.now);
        match self.store.execute(session, &rpc.children[0], self.now) {
            Ok(Answer::Data(data)) => Ok(data),
            Ok(Answer::Ok | Answer::Goodbye) => Ok("ok".into()),
            Err(error) => Err(error.to_xml()),
        }
    }

    #[track_caller]
    fn ok(&mut self, session: u32, operation: &str) -> String {
        self.rpc(session, operation).unwrap()
    }

    /// The error must have this tag and all of `parts`.
    #[track_caller]
    fn fails(&mut self, session: u32, operation: &str, tag: &str, parts: &[&str]) {
        let error = self.rpc(session, operation).unwrap_err();
        assert!(error.contains(&format!("<error-tag>{tag}</error-tag>")), "{error}");
        for part in parts {
            assert!(error.contains(part), "no `{part}` in {error}");
        }
    }

    fn is_dirty(&self) -> bool {
        self.store.candidate.is_some()
    }

    fn running(&self) -> String {
        self.store.running.xml().unwrap()
    }
}

fn edit(target: &str, default: &str, interface: &str) -> String {
    format!(
        "<edit-config><target><{target}/></target><default-operation>{default}</default-operation>\
         <config><interfaces {OC}>{interface}</interfaces></config></edit-config>"
    )
}

/// An edit of port eth1: elements of its config, and of its switched-vlan's config.
fn port(target: &str, default: &str, config: &str, vlan: &str) -> String {
    let vlan = match vlan {
        "" => String::new(),
        _ => format!(
            "<ethernet {ETH} nc:operation='merge'><switched-vlan {VLAN}><config>{vlan}</config></switched-vlan></ethernet>"
        ),
    };
    edit(target, default, &format!("<interface><name>eth1</name><config>{config}</config>{vlan}</interface>"))
}

const ACCESS: &str = "<interface-mode>ACCESS</interface-mode><access-vlan>100</access-vlan>";
const COMMIT: &str = "<commit/>";
