//! The datastores of one switch and who holds them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;

use super::cli::Carried;
use super::commit::Pending;
use super::edit::{self, Operation};
use super::error::{RpcError, is_false_when};
use super::gnmi::Documents;
use super::native::Native;
use super::tree::Tree;
use super::xml::Element;
use super::{Confirm, Personality, Quirks, SimError, SwitchSpec, state};
use crate::schema::Schema;

/// A session's number, from 1.
pub(super) type SessionId = u32;

/// What stands for gNMI, which has no sessions.
pub(super) const GNMI: SessionId = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Datastore {
    Candidate,
    Running,
    Startup,
}

impl Datastore {
    pub fn name(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Running => "running",
            Self::Startup => "startup",
        }
    }
}

/// How an edit is to be done (RFC 6241 7.2).
pub(super) struct EditOptions {
    pub default_operation: Operation,
    pub test_only: bool,
    /// All or nothing; else what came before an error stays.
    pub rollback_on_error: bool,
}

pub(super) struct Store {
    pub(super) personality: Personality,
    pub(super) quirks: Quirks,
    pub(super) running: Tree,
    /// The candidate while it has changes; otherwise it is what running is.
    pub(super) candidate: Option<Tree>,
    startup: Tree,
    /// What is in the place of these datastores over NETCONF.
    pub(super) native: Option<Native>,
    /// What gNMI has besides running.
    pub(super) documents: Documents,
    /// And the command line that gNMI carries.
    pub(super) cli: Option<Carried>,
    pub(super) pending: Option<Pending>,
    /// How often running has changed by a commit or an edit.
    pub(super) commits: u64,
    locks: BTreeMap<Datastore, SessionId>,
    /// Open sessions and what ends each.
    sessions: BTreeMap<SessionId, Arc<Notify>>,
    last_session: SessionId,
}

impl Store {
    pub fn new(spec: &SwitchSpec, schema: &Arc<Schema>) -> Result<Self, SimError> {
        let start = || -> Result<(Tree, Tree), yang5::Error> {
            let running = initial(spec, schema)?;
            let startup = running.copy()?;
            Ok((running, startup))
        };
        let (running, startup) = start()
            .map_err(|source| SimError::Startup { switch: spec.name.clone(), why: source.to_string() })?;
        let cli = spec.gnmi.as_ref().and_then(|gnmi| gnmi.cli.as_ref()).map(Carried::new).transpose();
        let cli = cli.map_err(|source| SimError::System { switch: spec.name.clone(), source })?;
        let native = spec.native.as_ref().map(Native::new).transpose();
        let native = native.map_err(|why| SimError::Startup { switch: spec.name.clone(), why })?;
        Ok(Self {
            native,
            personality: spec.personality,
            quirks: spec.quirks.clone(),
            running,
            candidate: None,
            startup,
            documents: spec.gnmi.as_ref().map(|gnmi| gnmi.documents.clone()).unwrap_or_default(),
            cli,
            pending: None,
            commits: 0,
            locks: BTreeMap::new(),
            sessions: BTreeMap::new(),
            last_session: 0,
        })
    }

    pub fn open(&mut self) -> (SessionId, Arc<Notify>) {
        self.last_session += 1;
        let end = Arc::new(Notify::new());
        self.sessions.insert(self.last_session, Arc::clone(&end));
        (self.last_session, end)
    }

    /// A session ended, however: its locks go, with the candidate's lock its changes too
    /// (RFC 6241 8.3.5.2), and a commit bound to it is undone (8.4.1).
    pub fn close(&mut self, session: SessionId) {
        self.sessions.remove(&session);
        let had_candidate = self.locks.get(&Datastore::Candidate) == Some(&session);
        self.locks.retain(|_, holder| *holder != session);
        if had_candidate {
            self.drop_candidate();
        }
        self.revert_if_bound_to(session);
    }

    /// Whether the candidate has changes.
    pub fn is_dirty(&self) -> bool {
        self.candidate.is_some() || self.native.as_ref().is_some_and(|native| native.candidate.is_some())
    }

    pub fn drop_candidate(&mut self) {
        self.candidate = None;
        if let Some(native) = &mut self.native {
            native.candidate = None;
        }
    }

    pub fn kill(&mut self, session: SessionId, victim: SessionId) -> Result<(), RpcError> {
        match self.sessions.get(&victim) {
            Some(end) if victim != session => {
                end.notify_one();
                // At once, so that the answer tells the truth.
                self.close(victim);
                Ok(())
            }
            _ => Err(RpcError::protocol("invalid-value", format!("no other session {victim}"))),
        }
    }

    /// Running with what the switch reports besides it.
    pub fn with_state(&self) -> Result<Tree, yang5::Error> {
        state::with_state(&self.running, &self.quirks)
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Whether rollback-on-error is offered.
    pub fn rolls_back(&self) -> bool {
        !self.quirks.partial
    }

    /// The quirk that a lock on running keeps a timed commit in place.
    pub fn refuses_undo(&self) -> bool {
        self.quirks.undo_needs_unlock && self.locks.contains_key(&Datastore::Running)
    }

    pub fn kill_all(&mut self) {
        self.sessions.values().for_each(|end| end.notify_one());
    }

    pub fn locks(&self) -> BTreeMap<&'static str, SessionId> {
        self.locks.iter().map(|(datastore, holder)| (datastore.name(), *holder)).collect()
    }

    pub fn lock(&mut self, session: SessionId, target: Datastore) -> Result<(), RpcError> {
        self.tree(target)?;
        if let Some(holder) = self.locks.get(&target) {
            return Err(RpcError::protocol("lock-denied", "already locked").info("session-id", holder));
        }
        if target == Datastore::Candidate && self.is_dirty() {
            return Err(RpcError::protocol(
                "resource-denied",
                "the candidate has changes that are not committed",
            ));
        }
        // Where any later commit confirms, anyone may come and commit.
        if target != Datastore::Startup
            && self.personality.confirm() != Confirm::AnyCommit
            && self.pending.as_ref().is_some_and(|pending| pending.session != session)
        {
            return Err(RpcError::protocol("in-use", "a confirmed commit of another session is pending"));
        }
        self.locks.insert(target, session);
        Ok(())
    }

    pub fn unlock(&mut self, session: SessionId, target: Datastore) -> Result<(), RpcError> {
        if self.locks.get(&target) != Some(&session) {
            return Err(RpcError::protocol("operation-failed", "this session does not hold the lock"));
        }
        self.locks.remove(&target);
        Ok(())
    }

    /// Fails while another session holds the lock.
    pub fn free_for(&self, session: SessionId, target: Datastore) -> Result<(), RpcError> {
        match self.locks.get(&target) {
            Some(holder) if *holder != session => {
                let message = format!("{} is locked by session {holder}", target.name());
                Err(RpcError::protocol("in-use", message))
            }
            _ => Ok(()),
        }
    }

    /// A datastore that this switch has.
    pub fn tree(&self, datastore: Datastore) -> Result<&Tree, RpcError> {
        match datastore {
            Datastore::Running => Ok(&self.running),
            Datastore::Candidate if self.personality.has_candidate() => {
                Ok(self.candidate.as_ref().unwrap_or(&self.running))
            }
            Datastore::Startup if self.personality.has_startup() => Ok(&self.startup),
            _ => {
                let message = format!("this switch has no {} datastore", datastore.name());
                Err(RpcError::protocol("operation-not-supported", message))
            }
        }
    }

    pub fn edit(
        &mut self,
        session: SessionId,
        target: Datastore,
        config: &Element,
        how: &EditOptions,
    ) -> Result<(), RpcError> {
        self.writable(session, target)?;
        if let Some(native) = &mut self.native {
            return native.edit(config, how.default_operation);
        }
        let mut work = self.tree(target)?.copy()?;
        let (changes, applied) = edit::apply(&mut work, config, how.default_operation, &self.quirks);
        if how.test_only {
            applied?;
            return self.validate(&mut work);
        }
        match applied {
            Err(error) if how.rollback_on_error => Err(error),
            // What was applied before the error stays, unless that is no valid configuration.
            Err(error) if changes => self.put(target, work).and(Err(error)),
            Ok(()) if changes => self.put(target, work),
            unchanged => unchanged,
        }
    }

    /// copy-config (RFC 6241 7.3).
    pub fn copy(&mut self, session: SessionId, target: Datastore, source: Tree) -> Result<(), RpcError> {
        self.writable(session, target)?;
        if self.tree(target)?.same_as(&source)? { Ok(()) } else { self.put(target, source) }
    }

    /// Changes a datastore. All but the candidate have to be valid (RFC 6241 8.3.4).
    fn put(&mut self, target: Datastore, mut new: Tree) -> Result<(), RpcError> {
        if target != Datastore::Candidate {
            self.validate(&mut new)?;
        }
        match target {
            Datastore::Candidate => self.candidate = Some(new),
            Datastore::Startup => self.startup = new,
            Datastore::Running => {
                self.running = new;
                self.commits += 1;
            }
        }
        Ok(())
    }

    /// Whether this session may replace or edit the datastore.
    fn writable(&self, session: SessionId, target: Datastore) -> Result<(), RpcError> {
        self.tree(target)?;
        if target == Datastore::Running && self.personality.has_candidate() {
            return Err(RpcError::protocol("operation-not-supported", "running is changed by commit only"));
        }
        // Only gNMI can have one pending here, and its undoing would take this edit along.
        if target == Datastore::Running && self.pending.is_some() {
            return Err(RpcError::protocol("in-use", "a commit by gNMI is pending"));
        }
        self.free_for(session, target)
    }

    /// Validates, and with the quirk drops what has a false `when` instead of refusing it.
    pub fn validate(&self, tree: &mut Tree) -> Result<(), RpcError> {
        loop {
            let Err(error) = tree.validate() else { return Ok(()) };
            match &error.path {
                Some(path) if self.quirks.prune_when && is_false_when(&error) => tree.remove(path)?,
                _ => return Err(RpcError::invalid(tree.schema().context(), &error)),
            }
        }
    }
}

/// What the switch starts with: the given configuration, its ports and its VLANs.
fn initial(spec: &SwitchSpec, schema: &Arc<Schema>) -> Result<Tree, yang5::Error> {
    let mut tree = Tree::parse(schema, spec.startup_xml.as_deref().unwrap_or_default())?;
    for port in &spec.ports {
        let config = format!("/openconfig-interfaces:interfaces/interface[name='{port}']/config");
        tree.set(&format!("{config}/name"), Some(port))?;
        tree.set(&format!("{config}/type"), Some("iana-if-type:ethernetCsmacd"))?;
        tree.set(&format!("{config}/enabled"), Some("true"))?;
    }
    if !spec.vlans.is_empty() {
        let instance = "/openconfig-network-instance:network-instances/network-instance[name='default']";
        tree.set(&format!("{instance}/config/name"), Some("default"))?;
        let default_instance = "openconfig-network-instance-types:DEFAULT_INSTANCE";
        tree.set(&format!("{instance}/config/type"), Some(default_instance))?;
        for vlan in &spec.vlans {
            let path = format!("{instance}/vlans/vlan[vlan-id='{vlan}']/config/vlan-id");
            tree.set(&path, Some(&vlan.to_string()))?;
        }
    }
    tree.validate()?;
    Ok(tree)
}
