//! What a server's hello promises, lowered by what its profile says it may be trusted with. Pure.

use super::message::Hello;
use crate::device::NetconfHabits;
use crate::transport::{Cause, Promises, Timed};

/// What a session takes from the hello besides [`Promises`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extras {
    /// RFC 6241 8.5: `error-option` may be `rollback-on-error`.
    pub rollback_on_error: bool,
    /// RFC 6241 8.4.4.1: `cancel-commit` exists.
    pub cancel_commit: bool,
    /// Others can edit running directly (RFC 6241 8.2), so it needs a lock of its own.
    pub writable_running: bool,
}

/// Reads the capabilities. A device that can neither stage an edit nor take one in running is
/// not supported.
pub fn promises(hello: &Hello, habits: &NetconfHabits) -> Result<(Promises, Extras), Cause> {
    let offers = |name: &str| hello.offers(&format!("capability:{name}"));
    let candidate = offers("candidate:1.0");
    let writable_running = offers("writable-running:1.0");
    if !candidate && !writable_running {
        return Err(Cause::Unsupported(
            "the device offers neither candidate nor writable-running".to_owned(),
        ));
    }
    let rollback_on_error = offers("rollback-on-error:1.0");
    let cancel_commit = offers("confirmed-commit:1.1");
    let offered = match (candidate, cancel_commit, offers("confirmed-commit:1.0")) {
        (true, true, _) => Timed::Persist,
        (true, false, true) => Timed::SessionBound,
        _ => Timed::None,
    };
    let promises = Promises {
        candidate,
        timed: habits.confirm.map_or(offered, |trusted| weaker(offered, trusted)),
        atomic: candidate || rollback_on_error,
        // Lock and unlock belong to the base protocol.
        locks: true,
        startup: offers("startup:1.0"),
        reads_startup: offers("startup:1.0"),
        keeps: true,
    };
    Ok((promises, Extras { rollback_on_error, cancel_commit, writable_running }))
}

/// The weaker of what is offered and what is trusted. A device that does session-bound commits
/// in Junos' way is only told apart by its profile.
fn weaker(offered: Timed, trusted: Timed) -> Timed {
    match (offered, trusted) {
        (Timed::None, _) | (_, Timed::None) => Timed::None,
        (_, Timed::AnyCommit) => Timed::AnyCommit,
        (Timed::Persist, Timed::Persist) => Timed::Persist,
        (Timed::AnyCommit, _) => Timed::AnyCommit,
        (Timed::SessionBound, _) | (_, Timed::SessionBound) => Timed::SessionBound,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::device::Model;

    fn habits(confirm: Option<Timed>) -> NetconfHabits {
        NetconfHabits { confirm, timer_granularity: Duration::from_secs(1), model: Model::OpenConfig }
    }

    fn read(capabilities: &[&str], confirm: Option<Timed>) -> Result<Promises, Cause> {
        let capabilities =
            capabilities.iter().map(|name| format!("urn:ietf:params:netconf:capability:{name}")).collect();
        promises(&Hello { capabilities, session_id: 1 }, &habits(confirm)).map(|(promises, _)| promises)
    }

    #[test]
    fn the_profile_can_only_lower_the_confirm() {
        let both = ["candidate:1.0", "confirmed-commit:1.0", "confirmed-commit:1.1"];
        let old = ["candidate:1.0", "confirmed-commit:1.0"];
        let none = ["candidate:1.0"];
        let running = ["writable-running:1.0", "confirmed-commit:1.1"];
        use Timed::{AnyCommit, None as Never, Persist, SessionBound};
        for (capabilities, trusted, timed) in [
            (&both[..], None, Persist),
            (&both, Some(Persist), Persist),
            (&both, Some(SessionBound), SessionBound),
            (&both, Some(AnyCommit), AnyCommit),
            (&both, Some(Never), Never),
            (&old, None, SessionBound),
            (&old, Some(Persist), SessionBound),
            (&old, Some(AnyCommit), AnyCommit),
            (&none, Some(Persist), Never),
            (&none, Some(AnyCommit), Never),
            (&running, None, Never),
        ] {
            assert_eq!(read(capabilities, trusted).unwrap().timed, timed, "{capabilities:?} {trusted:?}");
        }
    }

    #[test]
    fn shapes_of_devices() {
        let candidate = read(&["candidate:1.0", "startup:1.0"], None).unwrap();
        assert!(candidate.candidate && candidate.atomic && candidate.startup && candidate.locks);
        let weak = read(&["writable-running:1.0"], None).unwrap();
        assert!(!weak.candidate && !weak.atomic && !weak.startup);
        assert!(read(&["writable-running:1.0", "rollback-on-error:1.0"], None).unwrap().atomic);
        assert!(matches!(read(&["startup:1.0"], None), Err(Cause::Unsupported(_))));
    }
}
