//! The right to change one device: its lock file and its session, lent by the worker that owns them.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use crate::device::{Device, Save};
use crate::path::Path;
use crate::transaction::journal::{Journal, JournalError, Record};
use crate::transaction::outcome::{Phase, Timings};
use crate::transport::{Cause, Connector, Fault, Observed, ReadSet, Session};
use crate::world::World;

/// A device in the hands of one transaction.
pub struct Lease {
    pub(super) device: Arc<Device>,
    pub(super) world: Arc<World>,
    connector: Arc<dyn Connector>,
    pub(super) session: Option<Box<dyn Session>>,
    /// The session was open before this transaction began.
    pub(super) is_warm: bool,
    pub(super) last_transport: String,
    journal: Option<Journal>,
}

impl Lease {
    /// `session` is a warm one, if any.
    pub fn new(
        device: Arc<Device>,
        world: Arc<World>,
        connector: Arc<dyn Connector>,
        session: Option<Box<dyn Session>>,
    ) -> Self {
        Self {
            device,
            world,
            connector,
            is_warm: session.is_some(),
            session,
            last_transport: "none".to_owned(),
            journal: None,
        }
    }

    /// Gives the session back, if it is still of use, and unlocks the file.
    pub fn give_back(self) -> Option<Box<dyn Session>> {
        self.session.filter(|session| session.is_open())
    }

    pub(super) async fn lock_file(&mut self, until: Instant) -> Result<(), JournalError> {
        if self.journal.is_none() {
            let journal = Journal::lock(&self.world.locks_dir, &self.device.endpoint, until).await?;
            self.journal = Some(journal);
        }
        Ok(())
    }

    /// What an earlier transaction left in the lock file.
    pub(super) fn left_behind(&mut self) -> Result<Option<Record>, String> {
        self.write_journal(Journal::left_behind)
    }

    /// Works on the lock file, which must be held.
    pub(super) fn write_journal<T>(
        &mut self,
        work: impl FnOnce(&mut Journal) -> Result<T, JournalError>,
    ) -> Result<T, String> {
        let journal = self.journal.as_mut().ok_or_else(|| "the lock file is not held".to_owned())?;
        work(journal).map_err(|error| error.to_string())
    }

    /// An outcome is known. A journal that cannot be emptied is only looked at once more.
    pub(super) fn clear_journal(&mut self) {
        if let Some(Err(error)) = self.journal.as_mut().map(Journal::clear) {
            tracing::error!(device = self.device.name, %error, "the journal cannot be emptied");
        }
    }

    /// A session: the warm one or a new one.
    pub(super) async fn connect(&mut self, timings: &mut Timings, deadline: Instant) -> Result<(), Fault> {
        if self.session.as_ref().is_some_and(|session| session.is_open()) {
            return Ok(());
        }
        self.drop_session().await;
        let session = Phase::Connect.timed(timings, self.connector.open(deadline)).await?;
        self.last_transport = session.describe();
        self.session = Some(session);
        Ok(())
    }

    /// Reads what the device runs and reports, without a lock.
    pub async fn observe(
        &mut self,
        running: &ReadSet,
        state: &ReadSet,
        deadline: Instant,
    ) -> Result<Observed, Fault> {
        let was_warm = self.is_warm;
        self.connect(&mut Timings::default(), deadline).await?;
        let observed = self.session()?.observe(running, state, deadline).await;
        let (true, Err(Fault::Lost(_) | Fault::NotSent(_))) = (was_warm, &observed) else { return observed };
        // An idle session that the device closed meanwhile: one fresh session may be tried.
        self.drop_session().await;
        self.connect(&mut Timings::default(), deadline).await?;
        self.session()?.observe(running, state, deadline).await
    }

    pub(super) fn session(&mut self) -> Result<&mut Box<dyn Session>, Fault> {
        let none = || Fault::NotSent(Cause::Closed("no session".to_owned()));
        self.session.as_mut().ok_or_else(none)
    }

    pub(super) async fn drop_session(&mut self) {
        self.is_warm = false;
        if let Some(mut session) = self.session.take() {
            session.close().await;
        }
    }

    pub(super) fn read_set(&self, paths: BTreeSet<Path>) -> ReadSet {
        ReadSet { paths: paths.into_iter().collect(), schema: self.world.schema.clone() }
    }

    /// Whether changes are copied to startup where the device has such a datastore.
    pub(super) fn saves(&self) -> bool {
        self.device.save == Save::Each
    }
}
