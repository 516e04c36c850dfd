//! commit, confirmed commit and their undoing (RFC 6241 8.3.4 and 8.4).

use std::time::Duration;

use tokio::time::Instant;

use super::Confirm;
use super::error::RpcError;
use super::gnmi::Documents;
use super::native::Node;
use super::store::{Datastore, GNMI, SessionId, Store};
use super::tree::Tree;

/// A confirmed commit that waits for its confirmation.
pub(super) struct Pending {
    /// Running as it was before.
    rollback: Tree,
    /// And what a vendor's own model has.
    native: Option<Node>,
    /// And what gNMI has besides.
    documents: Documents,
    deadline: Instant,
    /// Its time is over, and running is not as it was yet.
    lapsed: bool,
    /// Who made it, or last extended it.
    pub session: SessionId,
    guard: Guard,
}

/// Who may confirm, extend or cancel.
#[derive(Clone)]
enum Guard {
    /// The session that made it; its end undoes the commit.
    Session,
    /// Whoever knows the id.
    Persist(String),
    /// Any session, by any commit.
    Anyone,
    /// Whoever knows the id, by gNMI's extension only.
    Gnmi(String),
}

/// Why gNMI's extension finds no commit to follow up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotPending {
    None,
    OtherId,
}

/// The parameters of commit.
#[derive(Default)]
pub(super) struct CommitOptions {
    /// The timer, when this is a confirmed commit.
    pub timeout: Option<Duration>,
    pub persist: Option<String>,
    pub persist_id: Option<String>,
}

impl Store {
    pub fn commit(
        &mut self,
        session: SessionId,
        options: CommitOptions,
        now: Instant,
    ) -> Result<(), RpcError> {
        self.tree(Datastore::Candidate)?;
        self.free_for(session, Datastore::Running)?;
        self.free_for(session, Datastore::Candidate)?;
        self.may_follow_up(session, options.persist_id.as_deref())?;

        // Kept only while a timer runs.
        let before = options.timeout.map(|_| self.running.copy()).transpose()?;
        let native_before = self.native.as_ref().map(|native| native.running.clone());
        if let Some(native) = &mut self.native
            && let Some(candidate) = native.candidate.take()
        {
            native.running = candidate;
            self.commits += 1;
        }
        if let Some(candidate) = &self.candidate {
            // On a copy: a failed commit leaves the candidate as it is.
            let mut new = candidate.copy()?;
            self.validate(&mut new)?;
            self.running = new;
            self.candidate = None;
            self.commits += 1;
        }
        let earlier = self.pending.take();
        if let (Some(timeout), Some(before)) = (options.timeout, before) {
            let guard = match (options.persist, &earlier, self.personality.confirm()) {
                (Some(id), _, _) => Guard::Persist(id),
                (None, Some(earlier), _) => earlier.guard.clone(),
                (None, None, Confirm::AnyCommit) => Guard::Anyone,
                (None, None, _) => Guard::Session,
            };
            let (rollback, native) = match earlier {
                Some(earlier) => (earlier.rollback, earlier.native),
                None => (before, native_before),
            };
            let documents = self.documents.clone();
            self.pending = Some(Pending {
                rollback,
                native,
                documents,
                deadline: now + timeout,
                lapsed: false,
                session,
                guard,
            });
        }
        Ok(())
    }

    /// Whether a commit may come while another is pending, and bears the right id.
    fn may_follow_up(&self, session: SessionId, id: Option<&str>) -> Result<(), RpcError> {
        let Some(pending) = &self.pending else {
            return match id {
                Some(_) => {
                    Err(RpcError::protocol("invalid-value", "no commit with this persist-id is pending"))
                }
                None => Ok(()),
            };
        };
        match (&pending.guard, id) {
            (Guard::Anyone, _) => Ok(()),
            (Guard::Persist(token), Some(id)) if token == id => Ok(()),
            (Guard::Session, None) if pending.session == session => Ok(()),
            (Guard::Persist(_), None) if pending.session == session => {
                Err(RpcError::protocol("invalid-value", "the pending commit needs its persist-id"))
            }
            (_, None) => Err(RpcError::protocol("in-use", "another session's confirmed commit is pending")),
            (_, Some(_)) => {
                Err(RpcError::protocol("invalid-value", "no commit with this persist-id is pending"))
            }
        }
    }

    pub fn cancel(&mut self, session: SessionId, id: Option<&str>) -> Result<(), RpcError> {
        if self.pending.is_none() {
            return Err(RpcError::protocol("operation-failed", "no confirmed commit is pending"));
        }
        self.may_follow_up(session, id)?;
        self.revert();
        Ok(())
    }

    /// Starts the timer of a commit by gNMI: `rollback` is what its end brings back, and the documents as
    /// they are now.
    pub fn pend(&mut self, rollback: Tree, id: &str, timeout: Duration, now: Instant) {
        let guard = Guard::Gnmi(id.to_owned());
        let documents = self.documents.clone();
        let deadline = now + timeout;
        let native = None;
        self.pending =
            Some(Pending { rollback, native, documents, deadline, lapsed: false, session: GNMI, guard });
    }

    /// Confirms gNMI's commit of this id.
    pub fn confirm_named(&mut self, id: &str) -> Result<(), NotPending> {
        self.named(id)?;
        self.pending = None;
        Ok(())
    }

    /// Undoes gNMI's commit of this id.
    pub fn cancel_named(&mut self, id: &str) -> Result<(), NotPending> {
        self.named(id)?;
        self.revert();
        Ok(())
    }

    /// Starts the timer of gNMI's commit of this id again.
    pub fn extend_named(&mut self, id: &str, timeout: Duration, now: Instant) -> Result<(), NotPending> {
        self.named(id)?.deadline = now + timeout;
        Ok(())
    }

    fn named(&mut self, id: &str) -> Result<&mut Pending, NotPending> {
        match &mut self.pending {
            Some(pending) if pending.lapsed => Err(NotPending::None),
            Some(pending) => match &pending.guard {
                Guard::Gnmi(token) if token == id => Ok(pending),
                Guard::Gnmi(_) => Err(NotPending::OtherId),
                _ => Err(NotPending::None),
            },
            None => Err(NotPending::None),
        }
    }

    /// When the pending commit is undone.
    pub fn deadline(&self) -> Option<Instant> {
        self.pending.as_ref().map(|pending| pending.deadline)
    }

    pub fn discard(&mut self, session: SessionId) -> Result<(), RpcError> {
        self.tree(Datastore::Candidate)?;
        self.free_for(session, Datastore::Candidate)?;
        self.drop_candidate();
        Ok(())
    }

    /// Undoes a pending commit whose time is over. Called before anything looks at the switch,
    /// so it is as if it had happened on time.
    pub fn expire(&mut self, now: Instant) {
        let slow_revert = self.quirks.slow_revert;
        let Some(pending) = self.pending.as_mut().filter(|pending| pending.deadline <= now) else { return };
        if !pending.lapsed {
            pending.lapsed = true;
            pending.deadline += slow_revert;
        }
        if pending.deadline <= now {
            self.revert();
        }
    }

    pub fn revert_if_bound_to(&mut self, session: SessionId) {
        if let Some(Pending { guard: Guard::Session, session: owner, .. }) = &self.pending
            && *owner == session
        {
            self.revert();
        }
    }

    fn revert(&mut self) {
        if let Some(pending) = self.pending.take()
            && !self.refuses_undo()
        {
            self.running = pending.rollback;
            self.documents = pending.documents;
            if let (Some(native), Some(before)) = (&mut self.native, pending.native) {
                native.running = before;
            }
            self.drop_candidate();
        }
    }
}
