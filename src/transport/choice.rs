//! Which of the ways that a profile lists a device is configured by: the first that the device really
//! offers. What it answers decides, in the order of the list.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Cause, Connector, Fault, Offers, Session};
use crate::device::{Device, Profile};

/// Makes the way to a device that its profile's first transport tells.
pub type Connect = Arc<dyn Fn(&Arc<Device>) -> Arc<dyn Connector> + Send + Sync>;

/// A session, and the device as it is spoken to in it.
pub struct Chosen {
    pub session: Box<dyn Session>,
    /// Its profile has this way alone.
    pub device: Arc<Device>,
    /// Why this way; empty: there is no other.
    pub why: String,
}

impl Chosen {
    /// Which transport, and why.
    pub fn transport(&self) -> String {
        told(&self.session.describe(), &self.why)
    }
}

/// What a session is, and why this one.
pub(crate) fn told(session: &str, why: &str) -> String {
    if why.is_empty() { session.to_owned() } else { format!("{session}; {why}") }
}

/// A way of a device, tried.
pub struct Tried {
    pub device: Arc<Device>,
    pub opened: Result<Box<dyn Session>, Fault>,
}

/// The device in each of the ways that its profile lists.
pub fn ways(device: &Arc<Device>) -> Vec<Arc<Device>> {
    let by = |profile: Arc<Profile>| match Arc::ptr_eq(&profile, &device.profile) {
        true => device.clone(),
        false => Arc::new(Device { profile, ..(**device).clone() }),
    };
    device.profile.ways().into_iter().map(by).collect()
}

/// What a way that was tried is good for.
pub enum Verdict {
    /// This is the one.
    Take,
    /// It is not offered; why.
    Pass(String),
    /// It is offered and does not let us in, or cannot prove who it is: no other way is the answer to that.
    Stop,
}

/// Opens a session by the first of `ways` that the device offers. A way is passed over only when nothing
/// answers there, when what answers cannot do what is needed, or when it takes more than its share of the
/// time; who refuses our login or cannot prove who it is ends the search.
///
/// Every fault is [`Fault::NotSent`].
pub async fn choose(ways: &[Arc<Device>], connect: &Connect, deadline: Instant) -> Result<Chosen, Fault> {
    let mut passed: Vec<String> = Vec::new();
    for (n, device) in ways.iter().enumerate() {
        let tried = open(device, connect, share(deadline, ways.len() - n)).await;
        let name = device.profile.speaks.transport();
        let verdict = tried.verdict(ways.len() == 1);
        let why = match (verdict, tried.opened) {
            (Verdict::Take | Verdict::Stop, Ok(session)) => {
                return Ok(Chosen { session, device: tried.device, why: reason(ways, &passed) });
            }
            (_, Err(fault)) if ways.len() == 1 => return Err(fault),
            (Verdict::Take | Verdict::Stop, Err(fault)) => {
                return Err(ended(fault, name, &passed, ways.len() - n - 1));
            }
            (Verdict::Pass(why), Ok(mut session)) => {
                session.close().await;
                why
            }
            (Verdict::Pass(why), Err(_)) => why,
        };
        tracing::debug!(device = device.name, transport = name, why, "passed over");
        passed.push(format!("{name}: {why}"));
    }
    Err(Fault::NotSent(Cause::NoWay(passed.join("; "))))
}

/// A refusal with what was passed over before it, and that nothing was tried behind it.
fn ended(fault: Fault, name: &str, passed: &[String], left: usize) -> Fault {
    let cause = match fault {
        Fault::NotSent(cause) => cause.to_string(),
        fault => fault.to_string(),
    };
    let mut told = passed.to_vec();
    told.push(format!("{name}: {cause}"));
    if left > 0 {
        told.push("which ends the search for a way".to_owned());
    }
    Fault::NotSent(Cause::NoWay(told.join("; ")))
}

/// Opens a session by this way alone.
pub async fn open(device: &Arc<Device>, connect: &Connect, deadline: Instant) -> Tried {
    let opened = connect(device).open(deadline).await;
    Tried { device: device.clone(), opened }
}

impl Tried {
    /// What it is good for. The only way there is takes what it gets: what it lists of itself is no proof.
    pub fn verdict(&self, is_only: bool) -> Verdict {
        use Cause::{Absent, Deadline, Unsupported};
        match &self.opened {
            Ok(session) => match session.offers().lacks(self.device.profile.speaks.modules()) {
                Some(lacks) if !is_only => Verdict::Pass(lacks),
                _ => Verdict::Take,
            },
            Err(Fault::NotSent(cause @ (Absent { .. } | Unsupported(_) | Deadline(_)))) if !is_only => {
                Verdict::Pass(cause.to_string())
            }
            Err(_) => Verdict::Stop,
        }
    }
}

/// The time of the next of `left` ways: what is left at the end must be enough for each of them.
fn share(deadline: Instant, left: usize) -> Instant {
    let now = Instant::now();
    let left = u32::try_from(left).unwrap_or(u32::MAX).max(1);
    now + deadline.saturating_duration_since(now).checked_div(left).unwrap_or(Duration::ZERO)
}

/// Why the first that was not passed over is taken; empty: there is no other.
pub fn reason(ways: &[Arc<Device>], passed: &[String]) -> String {
    if ways.len() == 1 {
        return String::new();
    }
    if passed.is_empty() {
        let names: Vec<_> = ways.iter().map(|way| way.profile.speaks.transport()).collect();
        return format!("the first of {}", names.join(", "));
    }
    format!("not {}", passed.join("; not "))
}

impl Offers {
    /// What it says that it has not, of these modules; none: nothing, or it lists none at all.
    pub fn lacks(&self, modules: &[&str]) -> Option<String> {
        let missing: Vec<&str> =
            modules.iter().copied().filter(|module| !self.models.contains_key(*module)).collect();
        let is_said = !self.has_more && !self.models.is_empty() && !missing.is_empty();
        is_said.then(|| format!("it lists its models, and not {}", missing.join(", ")))
    }

    /// Those of these modules that it lists, with their versions.
    pub fn of(&self, modules: &[&str]) -> BTreeMap<String, String> {
        let listed = |module: &&str| Some(((*module).to_owned(), self.models.get(*module)?.clone()));
        modules.iter().filter_map(listed).collect()
    }
}
