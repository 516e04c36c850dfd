//! One question about one device, and the way back: what became of a change whose end is not known. It is
//! asked of a device that is looked at, under its lock where it has one, and the undo is made from what runs.

use std::time::Duration;

use tokio::time::Instant;

use crate::device::Profile;
use crate::plan::WayBack;
use crate::slice::Slice;
use crate::transaction::lease::Lease;
use crate::transaction::outcome::Timings;
use crate::transaction::{half_way, jitter};
use crate::transport::{Commit, Fault, ReadSet, Session, Store, Timed};

/// An open question about one device.
pub(super) struct Case<'a> {
    pub way_back: &'a WayBack,
    pub timed: Timed,
    pub persist_id: &'a str,
    /// The change was verified and its confirm was sent: drive it on instead of back.
    pub forward: bool,
    /// Finding the change on the device is an end, not something to undo.
    pub accepts_after: bool,
    /// From when on the device's timer may have run out, if it was not confirmed before.
    pub timer_from: Option<Instant>,
    /// A commit was sent and not refused; without one, running cannot have changed and no lock is
    /// needed to prove it.
    pub committed: bool,
    /// What was read back right after our commit, where our lock kept others out: ours, whatever it is.
    pub seen: Option<&'a Slice>,
    pub startup: Startup,
    /// The device refused to save the change, or was not asked: what it holds in startup is older.
    pub never_saved: bool,
}

/// What has to become of the startup datastore, where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Startup {
    Leave,
    /// It must hold what running ends as, and is not written again where it can be read.
    Check,
    /// What running ends as is copied to it, unless it is there.
    Save,
    /// The same where the change stays; no save was begun, so it holds nothing of it.
    SaveChange,
}

/// The answer to a [`Case`], from reading running under the lock.
#[derive(Debug)]
pub(super) enum Settled {
    Before,
    /// The same, after it was found there as a whole: nothing of it can be under way any more.
    TakenBack,
    After,
    /// After, and startup does not hold it.
    Unsaved,
    /// Somebody else changed these paths, so undoing would destroy their work.
    Neither(String),
    /// It could not be found out or not be brought to an end in the time there was.
    Open(String),
    /// The inverse may not be sent: trying again is of no use.
    Stuck(String),
    /// There is nothing to look at: what the device holds cannot be read.
    Blind,
}

/// Tries until `deadline` to bring a case to its end: reconnects, waits for locks, repairs.
pub(super) async fn settle(lease: &mut Lease, case: &Case<'_>, deadline: Instant) -> Settled {
    if case.way_back.is_blind {
        return Settled::Blind;
    }
    let mut pause = Duration::from_millis(20);
    let mut seen = Sightings::default();
    loop {
        let why = match attempt(lease, case, &mut seen, half_way(deadline)).await {
            Ok(Settled::Open(why)) => why,
            Ok(Settled::Before) if seen.was_there => return Settled::TakenBack,
            Ok(settled) => return settled,
            Err(fault) => {
                // Nothing that this attempt holds may be in the way of the next. Where there is no lock
                // to wait for, a session that is refused may be out of its mode.
                let is_free = match &mut lease.session {
                    Some(session) if session.promises().locks && matches!(fault, Fault::Rejected(_)) => {
                        session.release(true, half_way(deadline)).await.is_ok()
                    }
                    _ => false,
                };
                if !is_free {
                    lease.drop_session().await;
                }
                fault.to_string()
            }
        };
        let wait = jitter(pause);
        if Instant::now() + wait >= deadline {
            lease.drop_session().await;
            return Settled::Open(why);
        }
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// What the attempts at one case have shown of the change so far.
#[derive(Default)]
struct Sightings {
    was_there: bool,
    /// It was pending, and the device took it that it is confirmed, or cancelled.
    was_pending: bool,
}

async fn attempt(
    lease: &mut Lease,
    case: &Case<'_>,
    seen: &mut Sightings,
    deadline: Instant,
) -> Result<Settled, Fault> {
    lease.connect(&mut Timings::default(), deadline).await?;
    let (schema, profile) = (lease.world.schema.clone(), lease.device.profile.clone());
    // The profile said otherwise when the change was begun: that it reads as nothing proves nothing.
    if profile.speaks.not_read().is_some() {
        return Ok(Settled::Blind);
    }
    let reads = ReadSet { paths: case.way_back.reads.iter().cloned().collect(), schema };
    let session = lease.session()?;
    let mut is_lapsing = false;
    if case.timed == Timed::Persist {
        let answer = match case.forward {
            true => session.confirm(case.persist_id, false, deadline).await,
            false => session.cancel(case.persist_id, deadline).await,
        };
        // What can be confirmed or cancelled was there.
        seen.was_pending |= answer.is_ok();
        seen.was_there |= seen.was_pending && !case.forward;
        // A lock is not given while something is put back.
        is_lapsing = !seen.was_pending && !session.promises().locks && case.may_be_lapsing();
        // Its error tag decides nothing where a lock tells whether one is pending: devices say
        // different things when none is.
        match answer {
            Err(Fault::Rejected(errors)) if !session.may_be_pending(&errors) => {}
            answer => answer?,
        }
    }
    let running = match session.begin(&reads, deadline).await {
        Err(Fault::Rejected(errors)) if !case.committed => {
            let running = session.read(Store::Running, &reads, deadline).await?;
            let is_undone = case.way_back.is_undone(&running);
            return if is_undone { Ok(Settled::Before) } else { Err(Fault::Rejected(errors)) };
        }
        begun => begun?,
    };
    let is_seen = case.seen.is_some_and(|seen| running.same_as(seen));
    let running = case.way_back.but_for_gone(running, &profile);
    let is_after = running.same_as(&case.way_back.after);
    seen.was_there |= is_after;
    let off = case.way_back.off_the_way(&running);
    let mut end = if case.way_back.is_undone(&running) {
        keep(session, case, Settled::Before, &reads, deadline).await?
    } else if is_after && case.accepts_after && is_lapsing {
        Settled::Open("the device's timer has just ended, and it may be putting back what was".to_owned())
    } else if is_after && case.accepts_after && (case.forward || !seen.was_pending) {
        keep(session, case, Settled::After, &reads, deadline).await?
    } else if is_after || is_seen || off.is_empty() {
        match case.way_back.undo_from(&running, &profile, &reads.schema) {
            Ok(payload) => repair(session, &payload, case, &reads, &profile, deadline).await?,
            Err(error) => Settled::Stuck(error.to_string()),
        }
    } else {
        let off: Vec<String> = off.iter().map(ToString::to_string).collect();
        // Told to stand, it may not go when the timer ends.
        keep(session, case, Settled::Neither(off.join(", ")), &reads, deadline).await?
    };
    let checks = match (case.startup, &end) {
        (Startup::Leave, _) | (Startup::SaveChange, Settled::Before) => false,
        (_, end) => matches!(end, Settled::Before | Settled::After),
    };
    if checks && session.promises().startup {
        // A device that refuses every save still holds in startup what it held.
        let is_readable = session.promises().reads_startup;
        let is_saved = match is_readable {
            true => case.is_at(&end, &session.read(Store::Startup, &reads, deadline).await?),
            false => false,
        };
        match case.startup {
            _ if is_saved => {}
            // What cannot be looked at is made so: what runs by now is known.
            Startup::Check if is_readable => end = Settled::Unsaved,
            _ => match session.save(deadline).await {
                Err(Fault::Rejected(_)) if case.never_saved && !is_readable => {}
                saved => saved?,
            },
        }
    }
    session.release(true, deadline).await?;
    Ok(end)
}

/// How long after its timer's end a device may still be putting back what was.
const PUTTING_BACK: Duration = Duration::from_secs(60);

impl Case<'_> {
    /// Whether a change that is on the device, and not pending, may be about to go.
    fn may_be_lapsing(&self) -> bool {
        let since = self.timer_from.and_then(|from| Instant::now().checked_duration_since(from));
        since.is_some_and(|since| since < PUTTING_BACK)
    }

    /// Whether a datastore holds what the case ended as.
    fn is_at(&self, end: &Settled, found: &Slice) -> bool {
        match end {
            Settled::After => found.same_as(&self.way_back.after),
            Settled::Neither(_) => !self.way_back.is_undone(found),
            _ => self.way_back.is_undone(found),
        }
    }
}

/// Makes sure that no timer changes what was found. Where any commit confirms, whether one still
/// runs cannot be asked; a commit of nothing ends it.
async fn keep(
    session: &mut Box<dyn Session>,
    case: &Case<'_>,
    end: Settled,
    reads: &ReadSet,
    deadline: Instant,
) -> Result<Settled, Fault> {
    if case.timed != Timed::AnyCommit || !case.committed {
        return Ok(end);
    }
    let answer = session.commit(&Commit::Plain, reads, deadline).await;
    answer.commit?;
    let is_kept = case.is_at(&end, &answer.running?);
    Ok(if is_kept { end } else { Settled::Open("the device's timer ran out meanwhile".to_owned()) })
}

/// Applies the inverse under the lock that `attempt` holds, and reads back.
async fn repair(
    session: &mut Box<dyn Session>,
    payload: &crate::render::Payload,
    case: &Case<'_>,
    reads: &ReadSet,
    profile: &Profile,
    deadline: Instant,
) -> Result<Settled, Fault> {
    let refused = |fault: Fault| match fault {
        Fault::Rejected(_) => Ok(Settled::Open(format!("the inverse was refused: {fault}"))),
        fault => Err(fault),
    };
    if let Err(fault) = session.stage(payload, &format!("{}-undo", case.persist_id), deadline).await {
        return refused(fault);
    }
    let answer = session.commit(&Commit::Plain, reads, deadline).await;
    if let Err(fault) = answer.commit {
        return refused(fault);
    }
    let running = case.way_back.but_for_gone(answer.running?, profile);
    Ok(if case.way_back.is_undone(&running) {
        Settled::Before
    } else {
        Settled::Open("the inverse was accepted and does not hold".to_owned())
    })
}
