//! The right to change one device: its lock file and its session, lent by the worker that owns them.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use tokio::time::Instant;

use crate::device::{Device, Profile, Save, Speaks};
use crate::path::Path;
use crate::slice::Slice;
use crate::transaction::journal::{Journal, JournalError, Record};
use crate::transaction::outcome::{Phase, Timings};
use crate::transaction::shared::{Place, Shared};
use crate::transport::{self, Cause, Chosen, Connect, Fault, Observed, Promises, ReadSet, Session, Store};
use crate::world::World;

/// What a device runs and reports, read without a lock.
pub struct Live {
    pub running: Slice,
    /// What it reports of itself, as far as it was asked.
    pub state: Slice,
    /// Which transport, and why.
    pub transport: String,
    pub promises: Promises,
    /// As it is spoken to.
    pub profile: Arc<Profile>,
}

impl Live {
    /// Reads it in a session that nobody else has.
    pub async fn look(
        chosen: &mut Chosen,
        running: &ReadSet,
        state: &ReadSet,
        deadline: Instant,
    ) -> Result<Self, Fault> {
        let name = &chosen.device.name;
        let (running, state) = look(&mut *chosen.session, name, running, state, deadline).await?;
        let (promises, profile) = (chosen.session.promises().clone(), chosen.device.profile.clone());
        Ok(Self { running, state, transport: chosen.transport(), promises, profile })
    }
}

/// What a device runs and reports. It may have no state to offer, or not in these words: then nothing is
/// known, and that is said.
async fn look(
    session: &mut dyn Session,
    device: &str,
    running: &ReadSet,
    state: &ReadSet,
    deadline: Instant,
) -> Result<(Slice, Slice), Fault> {
    if state.paths.is_empty() {
        return Ok((session.read(Store::Running, running, deadline).await?, Slice::default()));
    }
    let Observed { running, state } = session.observe(running, state, deadline).await?;
    let state = state.or_else(|fault| match fault {
        Fault::Rejected(_) | Fault::Lost(Cause::Malformed(_)) | Fault::NotSent(Cause::Unsupported(_)) => {
            tracing::warn!(device, %fault, "no operational state");
            Ok(Slice::default())
        }
        fault => Err(fault),
    });
    Ok((running, state?))
}

fn no_session() -> Fault {
    Fault::NotSent(Cause::Closed("no session".to_owned()))
}

/// A device in the hands of one transaction.
pub struct Lease {
    /// As it is spoken to, once it has been.
    pub(super) device: Arc<Device>,
    pub(super) world: Arc<World>,
    pub(super) shared: Shared,
    connect: Connect,
    /// The ways to it that may be taken; a single one from the first byte on that changes it.
    ways: Vec<Arc<Device>>,
    /// Why this way.
    why: String,
    pub(super) session: Option<Box<dyn Session>>,
    /// Kept while sessions come and go: an undo needs one, too.
    place: Option<Place>,
    /// The session was open before this transaction began.
    is_warm: bool,
    pub(super) last_transport: String,
    journal: Option<Journal>,
}

/// A session that stays open between changes.
pub struct Warm {
    chosen: Chosen,
    place: Place,
    world: Weak<World>,
}

impl Warm {
    pub(super) async fn close(&mut self) {
        self.chosen.session.close().await;
    }

    /// Whether it was opened under this configuration: another one may say another host key, another
    /// user, another profile.
    pub(super) fn is_of(&self, world: &Arc<World>) -> bool {
        std::ptr::eq(self.world.as_ptr(), Arc::as_ptr(world))
    }
}

impl Lease {
    /// `warm` is of the same world, if there is one.
    pub fn new(
        device: Arc<Device>,
        world: Arc<World>,
        connect: Connect,
        warm: Option<Warm>,
        shared: Shared,
    ) -> Self {
        let mut lease = Self {
            ways: transport::ways(&device),
            device,
            world,
            shared,
            connect,
            why: String::new(),
            is_warm: warm.is_some(),
            session: None,
            place: None,
            last_transport: "none".to_owned(),
            journal: None,
        };
        if let Some(Warm { chosen, place, .. }) = warm {
            lease.place = Some(place);
            lease.take(chosen);
        }
        lease
    }

    /// Gives the session back, if it is still of use, and unlocks the file.
    pub fn give_back(self) -> Option<Warm> {
        let session = self.session.filter(|session| session.is_open())?;
        let chosen = Chosen { session, device: self.device, why: self.why };
        Some(Warm { chosen, place: self.place?, world: Arc::downgrade(&self.world) })
    }

    /// The session was opened to this device, which may have another name here.
    fn take(&mut self, chosen: Chosen) {
        let transport = chosen.device.profile.speaks.transport();
        let own = self.ways.iter().find(|way| way.profile.speaks.transport() == transport);
        self.device = own.unwrap_or(&self.device).clone();
        self.last_transport = chosen.transport();
        (self.session, self.why) = (Some(chosen.session), chosen.why);
    }

    /// Which transport, and why.
    pub(super) fn transport(&self) -> String {
        match &self.session {
            Some(session) => transport::told(&session.describe(), &self.why),
            None => self.last_transport.clone(),
        }
    }

    /// From here on no other way is taken.
    pub(super) fn keep_to_this_way(&mut self) {
        if self.ways.len() > 1 {
            self.ways = vec![self.device.clone()];
        }
    }

    /// Whether there is such a way, and what the device holds can be read over it.
    pub(super) fn reads_over(&self, transport: &str) -> bool {
        let reads = |speaks: &Speaks| speaks.transport() == transport && speaks.not_read().is_none();
        self.ways.iter().any(|way| reads(&way.profile.speaks))
    }

    /// Only the way that an earlier transaction took may be taken: what it left pending is known nowhere
    /// else. A profile that does not list it any more leaves all the others. Returns those that were open.
    pub(super) async fn keep_to(&mut self, transport: &str) -> Vec<Arc<Device>> {
        let ways = self.ways.clone();
        let is_it = |way: &Arc<Device>| way.profile.speaks.transport() == transport;
        if self.ways.iter().any(is_it) {
            self.ways.retain(is_it);
            if !is_it(&self.device) {
                self.drop_session().await;
            }
        }
        ways
    }

    /// Whatever of these is first may be taken again.
    pub(super) async fn may_take(&mut self, ways: Vec<Arc<Device>>) {
        if ways.len() != self.ways.len() {
            self.drop_session().await;
            self.ways = ways;
        }
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

    /// An outcome is known. A journal that cannot be emptied is looked at once more: says why it cannot.
    pub(super) fn clear_journal(&mut self) -> Option<JournalError> {
        let error = self.journal.as_mut()?.clear().err()?;
        tracing::error!(device = self.device.name, %error, "the journal cannot be emptied");
        Some(error)
    }

    /// A session: the warm one or a new one.
    pub(super) async fn connect(&mut self, timings: &mut Timings, deadline: Instant) -> Result<(), Fault> {
        if self.session.as_ref().is_some_and(|session| session.is_open()) {
            return Ok(());
        }
        self.drop_session().await;
        let open = async {
            if self.place.is_none() {
                self.place = Some(self.shared.sessions.place(deadline).await?);
            }
            transport::choose(&self.ways, &self.connect, deadline).await
        };
        let chosen = Phase::Connect.timed(timings, open).await?;
        self.take(chosen);
        Ok(())
    }

    /// A fresh session after the fault of an idle one, which the device may have closed meanwhile; once,
    /// and only for what changes nothing. Any other fault stands, also a silence that took all the time
    /// there was: it is what must be told.
    pub(super) async fn reopen(
        &mut self,
        fault: Fault,
        timings: &mut Timings,
        deadline: Instant,
    ) -> Result<(), Fault> {
        let may_be_stale = self.is_warm && !matches!(fault, Fault::Rejected(_));
        if !may_be_stale || Instant::now() >= deadline {
            return Err(fault);
        }
        self.drop_session().await;
        self.connect(timings, deadline).await
    }

    /// Reads what the device runs and, of `state`, what it reports, without a lock.
    pub async fn read(
        &mut self,
        running: &ReadSet,
        state: &ReadSet,
        deadline: Instant,
    ) -> Result<Live, Fault> {
        self.connect(&mut Timings::default(), deadline).await?;
        loop {
            let name = &self.device.name;
            let session = self.session.as_mut().ok_or_else(no_session)?;
            match look(&mut **session, name, running, state, deadline).await {
                Ok((running, state)) => {
                    let promises = self.session()?.promises().clone();
                    let (transport, profile) = (self.transport(), self.device.profile.clone());
                    return Ok(Live { running, state, transport, promises, profile });
                }
                Err(fault) => self.reopen(fault, &mut Timings::default(), deadline).await?,
            }
        }
    }

    pub(super) fn session(&mut self) -> Result<&mut Box<dyn Session>, Fault> {
        self.session.as_mut().ok_or_else(no_session)
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
