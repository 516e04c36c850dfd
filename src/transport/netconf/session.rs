//! Which rpcs make up which flight (see [`Session`]).

use std::cell::RefCell;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use super::link::{Link, Outcome};
use super::native::Native;
use super::promises::{Extras, promises};
use super::rpc::{Datastore, Rpc, subtree_filter};
use crate::device::{NetconfHabits, Profile};
use crate::render::Payload;
use crate::schema::Schema;
use crate::slice::Slice;
use crate::transport::aside;
use crate::transport::ssh::Stream;
use crate::transport::{
    Cause, Commit, Committed, DeviceError, Fault, Observed, Offers, Promises, ReadSet, Session, Store, Timed,
};

/// Longest `<data>`, in bytes, that is read at once. Data of some MiB can take minutes to read: what is
/// longer must not hold up other devices, nor our deadline.
const SHORT: usize = 64 << 10;

/// A NETCONF session over any byte stream.
pub struct NetconfSession {
    /// Polled also by [`Session::is_open`], which only has a shared reference.
    link: RefCell<Link>,
    promises: Promises,
    extras: Extras,
    session_id: u32,
    offers: Offers,
    /// Locks we hold, in the order taken.
    locked: Vec<Datastore>,
    /// The candidate may hold edits of ours that no commit has taken.
    dirty: bool,
    /// What reads a vendor's own model; none: it is OpenConfig.
    native: Option<Native>,
    /// An edit for running that waits for the commit, where there is no candidate.
    held: Option<String>,
}

impl NetconfSession {
    /// Exchanges hellos over `stream`. Every fault is [`Fault::NotSent`].
    pub async fn over(
        stream: Box<dyn Stream>,
        habits: &NetconfHabits,
        deadline: Instant,
    ) -> Result<Self, Fault> {
        let (link, hello) = Link::open(stream, deadline).await.map_err(Fault::NotSent)?;
        let (promises, extras) = promises(&hello, habits).map_err(Fault::NotSent)?;
        Ok(Self {
            link: RefCell::new(link),
            promises,
            extras,
            session_id: hello.session_id,
            offers: hello.lists(),
            locked: Vec::new(),
            dirty: false,
            native: None,
            held: None,
        })
    }

    /// The same, in the words of this profile.
    pub fn for_profile(self, profile: &Arc<Profile>) -> Self {
        Self { native: Native::of(profile), ..self }
    }

    /// The id the server gave this session; it names the holder of a lock.
    pub fn session_id(&self) -> u32 {
        self.session_id
    }

    async fn flight(&mut self, rpcs: &[Rpc], deadline: Instant, doing: &'static str) -> Vec<Outcome> {
        self.link.get_mut().flight(rpcs, deadline, doing).await
    }

    async fn single(&mut self, rpc: Rpc, deadline: Instant, doing: &'static str) -> Outcome {
        let mut outcomes = self.flight(&[rpc], deadline, doing).await;
        outcomes.pop().unwrap_or_else(|| Err(lost("an rpc has no outcome")))
    }

    /// What reads the configuration: of a vendor's own model each node by itself.
    fn get_config(&self, store: Store, reads: &ReadSet) -> Result<Vec<Rpc>, Fault> {
        let filters = match &self.native {
            None => vec![filter(reads)?],
            Some(native) => native.filters(false, reads).map_err(|why| not_sent(&why))?,
        };
        Ok(filters.iter().map(|filter| Rpc::get_config(store.into(), filter)).collect())
    }

    /// What reads the ports' state.
    fn get(&self, reads: &ReadSet) -> Result<Vec<Rpc>, Fault> {
        let filters = match &self.native {
            None => vec![filter(reads)?],
            Some(native) => native.filters(true, reads).map_err(|why| not_sent(&why))?,
        };
        Ok(filters.iter().map(|filter| Rpc::get(filter)).collect())
    }

    /// The meaning of what answers [`Self::get_config`] or, `of_state`, [`Self::get`].
    async fn meaning(
        &mut self,
        of_state: bool,
        outcomes: Vec<Outcome>,
        reads: &ReadSet,
        deadline: Instant,
    ) -> Result<Result<Slice, Cause>, Fault> {
        let data = outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
        let (size, reads) = (data.iter().map(String::len).sum(), reads.clone());
        let Some(native) = self.native.clone() else {
            let read = if of_state { Schema::read_state } else { Schema::read_xml };
            let read = move || {
                let [data] = data.as_slice() else { return Err("a read has no outcome".to_owned()) };
                let slice = read(&reads.schema, data).map_err(|error| error.to_string())?;
                Ok(slice.within(&reads.paths))
            };
            return Ok(aside::meaning(size, SHORT, read, deadline).await);
        };
        let read = move || native.understood(of_state, &data, &reads);
        Ok(aside::meaning(size, SHORT, read, deadline).await)
    }

    /// The meaning of a `<data>`. One that the schema does not allow is no answer.
    async fn understand(
        &mut self,
        outcomes: Vec<Outcome>,
        reads: &ReadSet,
        deadline: Instant,
    ) -> Result<Slice, Fault> {
        let cause = match self.meaning(false, outcomes, reads, deadline).await? {
            Ok(slice) => return Ok(slice),
            Err(cause) => cause,
        };
        self.link.get_mut().fail(cause.clone());
        Err(Fault::Lost(cause))
    }

    /// What to lock, in this order. Where running changes only by commits, the lock of the candidate
    /// keeps those of others out, and a lock of running would do harm: netconfd 2.13 cannot roll a
    /// timed commit back while anyone holds it, and says nothing.
    fn lockable(&self) -> Vec<Datastore> {
        let wanted = [
            (Datastore::Candidate, self.promises.candidate),
            (Datastore::Running, self.extras.writable_running),
            (Datastore::Startup, self.promises.startup),
        ];
        wanted.into_iter().filter_map(|(store, wanted)| wanted.then_some(store)).collect()
    }

    fn unlocks(&self) -> Vec<Rpc> {
        self.locked.iter().rev().map(|store| Rpc::unlock(*store)).collect()
    }

    /// Takes the outcomes of [`Self::unlocks`] and gives the first fault. A lock that the device
    /// will not let go ends the session, which frees it.
    fn unlocked(&mut self, outcomes: impl IntoIterator<Item = Outcome>) -> Option<Fault> {
        self.locked.clear();
        let fault = outcomes.into_iter().find_map(Result::err)?;
        if let Fault::Rejected(_) = fault {
            tracing::warn!(%fault, "a lock could not be released; the session is closed");
            self.link.get_mut().fail(Cause::Closed("a lock could not be released".to_owned()));
        }
        Some(fault)
    }

    /// Adds who holds running, which we do not lock where it changes only by commits, to a refused
    /// commit: devices tell it only to those who ask for the lock.
    async fn name_holder(&mut self, mut errors: Vec<DeviceError>, deadline: Instant) -> Vec<DeviceError> {
        if self.locked.contains(&Datastore::Running) {
            return errors;
        }
        let rpcs = [Rpc::lock(Datastore::Running), Rpc::unlock(Datastore::Running)];
        let mut outcomes = self.flight(&rpcs, deadline, "asking who holds running").await.into_iter();
        match (outcomes.next(), outcomes.next()) {
            (Some(Err(Fault::Rejected(holder))), _) => errors.extend(holder),
            // The holder has just gone, and we got the lock: it must not stay with us unknown.
            (Some(Ok(_)), Some(Err(Fault::Rejected(_)))) => {
                self.link.get_mut().fail(Cause::Closed("a lock could not be released".to_owned()));
            }
            // Anything lost has closed the session already.
            _ => {}
        }
        errors
    }

    fn persist_id<'i>(&self, id: &'i str) -> Option<&'i str> {
        (self.promises.timed == Timed::Persist).then_some(id)
    }

    /// The rpc that makes the staged edit run.
    fn commit_rpc(&self, how: &Commit) -> Result<Rpc, Fault> {
        match how {
            Commit::Timed { .. } if self.promises.timed == Timed::None => {
                Err(not_sent("the device has no commit timer"))
            }
            Commit::Timed { timeout, persist_id } => {
                Ok(Rpc::confirmed_commit(*timeout, self.persist_id(persist_id)))
            }
            Commit::Plain if self.promises.candidate => Ok(Rpc::commit()),
            Commit::Plain => {
                let config = self.held.as_ref().ok_or_else(|| not_sent("nothing is staged"))?;
                Ok(Rpc::edit_config(Datastore::Running, config, self.extras.rollback_on_error))
            }
        }
    }
}

#[async_trait]
impl Session for NetconfSession {
    fn promises(&self) -> &Promises {
        &self.promises
    }

    fn is_open(&self) -> bool {
        self.link.borrow_mut().is_open()
    }

    fn offers(&self) -> Offers {
        self.offers.clone()
    }

    fn describe(&self) -> String {
        let store = if self.promises.candidate { "candidate" } else { "writable-running" };
        let confirm = match self.promises.timed {
            Timed::None => "no commit timer",
            Timed::SessionBound => "confirm by this session",
            Timed::AnyCommit => "confirm by any commit",
            Timed::Persist => "confirm by persist-id",
        };
        format!("netconf ({store}, {confirm})")
    }

    async fn read(&mut self, store: Store, reads: &ReadSet, deadline: Instant) -> Result<Slice, Fault> {
        if store == Store::Startup && !self.promises.startup {
            return Err(not_sent("the device has no startup datastore"));
        }
        let rpcs = self.get_config(store, reads)?;
        let outcomes = self.flight(&rpcs, deadline, "reading").await;
        self.understand(outcomes, reads, deadline).await
    }

    async fn observe(
        &mut self,
        running: &ReadSet,
        state: &ReadSet,
        deadline: Instant,
    ) -> Result<Observed, Fault> {
        let mut rpcs = self.get_config(Store::Running, running)?;
        let of_config = rpcs.len();
        rpcs.extend(self.get(state)?);
        let mut config = self.flight(&rpcs, deadline, "reading").await;
        let report = config.split_off(of_config.min(config.len()));
        let running = self.understand(config, running, deadline).await?;
        // Nothing is decided by it, so a value that is not understood closes no session.
        let state = match self.meaning(true, report, state, deadline).await {
            Ok(state) => state.map_err(Fault::Lost),
            Err(fault) => Err(fault),
        };
        Ok(Observed { running, state })
    }

    async fn begin(&mut self, reads: &ReadSet, deadline: Instant) -> Result<Slice, Fault> {
        let stores = self.lockable();
        let mut rpcs: Vec<Rpc> = stores.iter().map(|store| Rpc::lock(*store)).collect();
        rpcs.extend(self.get_config(Store::Running, reads)?);
        let mut outcomes = self.flight(&rpcs, deadline, "locking and reading").await;
        let running = outcomes.split_off(stores.len().min(outcomes.len()));
        let mut refused = None;
        for (store, outcome) in stores.into_iter().zip(outcomes) {
            match outcome {
                Ok(_) => self.locked.push(store),
                Err(fault) => refused = refused.or(Some(fault)),
            }
        }
        let fault = match (refused, self.understand(running, reads, deadline).await) {
            (None, Ok(slice)) => return Ok(slice),
            (Some(fault), _) | (None, Err(fault)) => fault,
        };
        // What the locks say matters less than the fault that began it.
        let rpcs = self.unlocks();
        let outcomes = self.flight(&rpcs, deadline, "unlocking").await;
        self.unlocked(outcomes);
        Err(fault)
    }

    async fn stage(&mut self, payload: &Payload, _: &str, deadline: Instant) -> Result<(), Fault> {
        let Payload::Netconf(config) = payload else {
            return Err(not_sent("the payload is for another transport"));
        };
        if !self.promises.candidate {
            self.held = Some(config.clone());
            return Ok(());
        }
        let rpc = Rpc::edit_config(Datastore::Candidate, config, self.extras.rollback_on_error);
        let outcome = self.single(rpc, deadline, "staging the edit").await;
        // A refused edit may have been taken in part.
        self.dirty |= !matches!(outcome, Err(Fault::NotSent(_)));
        outcome.map(drop)
    }

    async fn commit(&mut self, how: &Commit, reads: &ReadSet, deadline: Instant) -> Committed {
        let rpcs = match self
            .commit_rpc(how)
            .and_then(|commit| Ok([vec![commit], self.get_config(Store::Running, reads)?].concat()))
        {
            Ok(rpcs) => rpcs,
            Err(fault) => return Committed { commit: Err(fault.clone()), running: Err(fault) },
        };
        let mut outcomes = self.flight(&rpcs, deadline, "committing").await.into_iter();
        let commit = outcomes.next().unwrap_or_else(|| Err(lost("an rpc has no outcome"))).map(drop);
        let running = outcomes.collect();
        if !matches!(commit, Err(Fault::NotSent(_))) {
            self.held = None;
        }
        if commit.is_ok() && *how == Commit::Plain {
            self.dirty = false;
        }
        let running = self.understand(running, reads, deadline).await;
        let commit = match commit {
            Err(Fault::Rejected(errors)) if self.promises.candidate && Fault::is_in_use(&errors) => {
                Err(Fault::Rejected(self.name_holder(errors, deadline).await))
            }
            commit => commit,
        };
        Committed { commit, running }
    }

    async fn confirm(&mut self, persist_id: &str, then_unlock: bool, deadline: Instant) -> Result<(), Fault> {
        if self.promises.timed == Timed::None {
            return Err(not_sent("the device has no commit timer"));
        }
        let mut rpcs = vec![Rpc::confirm(self.persist_id(persist_id))];
        if then_unlock {
            rpcs.extend(self.unlocks());
        }
        let mut outcomes = self.flight(&rpcs, deadline, "confirming the commit").await.into_iter();
        let confirmed = outcomes.next().unwrap_or_else(|| Err(lost("the confirm has no outcome"))).map(drop);
        if confirmed.is_ok() {
            self.dirty = false;
        }
        if then_unlock {
            // What is confirmed stays so, whatever becomes of the locks.
            self.unlocked(outcomes);
        }
        confirmed
    }

    async fn cancel(&mut self, persist_id: &str, deadline: Instant) -> Result<(), Fault> {
        if !self.extras.cancel_commit {
            return Err(not_sent("the device cannot cancel a commit"));
        }
        let rpc = Rpc::cancel_commit(self.persist_id(persist_id));
        self.single(rpc, deadline, "cancelling the commit").await.map(drop)
    }

    async fn save(&mut self, deadline: Instant) -> Result<(), Fault> {
        if !self.promises.startup {
            return Err(not_sent("the device has no startup datastore"));
        }
        self.single(Rpc::save(), deadline, "saving to startup").await.map(drop)
    }

    async fn release(&mut self, discard_ours: bool, deadline: Instant) -> Result<(), Fault> {
        self.held = None;
        if discard_ours && self.dirty {
            let discarded = self.single(Rpc::discard_changes(), deadline, "discarding our edit").await;
            if let Err(fault) = discarded {
                // Not unlocked: our edit would stay behind for the next commit of anyone. With the
                // session the lock goes, and with the lock the edit (RFC 6241 8.3.5.2).
                self.link.get_mut().fail(Cause::Closed("our edit could not be discarded".to_owned()));
                return Err(fault);
            }
            self.dirty = false;
        }
        let rpcs = self.unlocks();
        if rpcs.is_empty() {
            return Ok(());
        }
        let outcomes = self.flight(&rpcs, deadline, "releasing").await;
        self.unlocked(outcomes).map_or(Ok(()), Err)
    }

    async fn module(
        &mut self,
        name: &str,
        revision: Option<&str>,
        deadline: Instant,
    ) -> Result<String, Fault> {
        self.single(Rpc::get_schema(name, revision), deadline, "asking for a module").await
    }

    async fn close(&mut self) {
        self.link.get_mut().close().await;
    }
}

fn filter(reads: &ReadSet) -> Result<String, Fault> {
    let filter = subtree_filter(&reads.paths, |module| reads.schema.namespace(module));
    filter.map_err(|module| not_sent(&format!("the schema has no module `{module}`")))
}

fn not_sent(why: &str) -> Fault {
    Fault::NotSent(Cause::Unsupported(why.to_owned()))
}

fn lost(why: &str) -> Fault {
    Fault::Lost(Cause::Malformed(why.to_owned()))
}
