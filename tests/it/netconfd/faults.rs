//! Messages that are lost, or never answered, at each step of a transaction.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::*;
use crate::peers::{Action, Peer, Rule, require};
use crate::service::{Site, attach};

/// How a call has to end.
#[derive(Clone, Copy, Debug)]
enum End {
    Applied,
    /// Failed in this phase, and the switch is as before.
    RolledBack(&'static str),
}

use End::{Applied, RolledBack};

/// What is lost, and how the call ends.
type Case = (&'static str, usize, Action, End);

const LOST: [(Shape, &[Case]); 2] = [
    (
        Shape::Candidate,
        &[
            // On a session that was just opened.
            ("lock", 1, Action::DropRequest, RolledBack("lock")),
            ("lock", 1, Action::DropReply, RolledBack("lock")),
            ("edit-config", 1, Action::DropRequest, RolledBack("stage")),
            ("edit-config", 1, Action::DropReply, RolledBack("stage")),
            ("confirmed-commit", 1, Action::DropRequest, RolledBack("commit")),
            ("confirmed-commit", 1, Action::DropReply, RolledBack("commit")),
            ("get-config", 2, Action::DropReply, RolledBack("verify")),
            ("confirm", 1, Action::DropRequest, Applied),
            ("confirm", 1, Action::DropReply, Applied),
            // On a session that was open before, whose end may have been on its way.
            ("lock", 1, Action::DropReply, Applied),
            ("get-config", 1, Action::DropReply, Applied),
            ("unlock", 1, Action::DropReply, Applied),
        ],
    ),
    (
        Shape::RunningStartup,
        &[
            ("lock", 1, Action::DropReply, RolledBack("lock")),
            ("edit-config", 1, Action::DropRequest, RolledBack("commit")),
            // It stands, and is driven on to its end.
            ("edit-config", 1, Action::DropReply, Applied),
            ("get-config", 2, Action::DropReply, Applied),
            ("copy-config", 1, Action::DropRequest, RolledBack("save")),
            ("copy-config", 1, Action::DropReply, Applied),
            ("lock", 1, Action::DropRequest, Applied),
            ("unlock", 1, Action::DropReply, Applied),
        ],
    ),
];

/// A switch with a port attached, and a service.
pub struct Bench {
    shape: Shape,
    pub service: Service,
    pub site: Site,
    pub operator: Operator,
    pub proxy: Proxy,
    pub server: Netconfd,
}

pub const BEFORE: &str = "access-vlan=12 description=lab interface-mode=ACCESS";
pub const AFTER: &str = "access-vlan=100 description=NEUTRON interface-mode=ACCESS";

impl Bench {
    pub async fn new(shape: Shape, limits: &str) -> Self {
        let (server, proxy) = Netconfd::start_with_proxy(shape, vec![]).await;
        let mut operator = Operator::of(&server, shape).await;
        let access = switched("<interface-mode>ACCESS</interface-mode><access-vlan>12</access-vlan>");
        operator.apply(&ethernet("eth1", "<description>lab</description>", &access)).await;
        let site = Site::of(&server).limits(limits);
        let service = site.serve().await;
        Self { shape, server, proxy, operator, site, service }
    }

    /// An attach of eth1 during which that happens; afterwards the switch is as it was before.
    async fn attach(&mut self, (rpc, nth, action, end): Case) {
        let what = format!("{:?}: {action:?} {rpc} {nth}", self.shape);
        let before = self.operator.running().await;
        self.proxy.add(Rule::new(rpc, action).nth(nth));
        let answer = self.service.call("attach_port", attach("eth1", 100, &[])).await;
        let port = self.operator.port("eth1").await;
        match (end, answer) {
            (Applied, Ok(change)) => {
                assert_eq!((change["outcome"].as_str(), port.as_str()), (Some("applied"), AFTER), "{what}");
                self.operator.assert_at_rest().await;
                self.operator.apply_inverse(&change).await;
                assert_eq!(self.operator.running().await, before, "{what}");
            }
            (RolledBack(phase), Err(failure)) => {
                let (class, told) = (failure.class(), (failure.phase(), failure.outcome()));
                assert_eq!((class, told), ("NetworkError", (phase, "rolled_back")), "{what}: {failure:?}");
                assert!(failure.message.contains("the switch is as before"), "{what}: {failure:?}");
                assert_eq!(self.operator.running().await, before, "{what}");
                self.operator.assert_at_rest().await;
            }
            (_, answer) => panic!("{what}: {answer:?}"),
        }
        assert_eq!(self.site.journal(), "", "{what}");
    }
}

#[tokio::test]
async fn a_message_that_is_lost_leaves_the_switch_as_before_or_as_asked() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    for (shape, cases) in LOST {
        let mut bench = Bench::new(shape, "").await;
        for case in cases {
            bench.attach(*case).await;
        }
    }
}

const NEVER_ANSWERED: [(Shape, &[Case]); 2] = [
    (
        Shape::Candidate,
        &[
            ("lock", 1, Action::HoldRequest, RolledBack("lock")),
            ("lock", 1, Action::HoldReply, RolledBack("lock")),
            ("edit-config", 1, Action::HoldRequest, RolledBack("stage")),
            ("edit-config", 1, Action::HoldReply, RolledBack("stage")),
            ("confirmed-commit", 1, Action::HoldRequest, RolledBack("commit")),
            ("confirmed-commit", 1, Action::HoldReply, RolledBack("commit")),
            ("get-config", 2, Action::HoldReply, RolledBack("verify")),
            ("confirm", 1, Action::HoldRequest, Applied),
            ("confirm", 1, Action::HoldReply, Applied),
        ],
    ),
    (
        Shape::RunningStartup,
        &[
            ("lock", 1, Action::HoldRequest, RolledBack("lock")),
            ("edit-config", 1, Action::HoldRequest, RolledBack("commit")),
            ("edit-config", 1, Action::HoldReply, Applied),
            ("copy-config", 1, Action::HoldRequest, RolledBack("save")),
            ("copy-config", 1, Action::HoldReply, Applied),
        ],
    ),
];

#[tokio::test]
async fn a_device_that_hangs_is_given_up_in_time() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let cases = NEVER_ANSWERED.iter().flat_map(|(shape, cases)| cases.iter().map(|case| (*shape, *case)));
    // All at once, since each only waits, but not all in one moment looking for a new session.
    join_all(cases.enumerate().map(|(number, (shape, case))| async move {
        let timeout = Duration::from_millis(5_000 + 300 * number as u64);
        let limits = format!("request_timeout = \"{}ms\"\nlock_wait = \"1s\"\n", timeout.as_millis());
        let mut bench = Bench::new(shape, &limits).await;
        let started = Instant::now();
        bench.attach(case).await;
        let took = started.elapsed();
        assert!(took < timeout + Duration::from_secs(1), "{case:?} took {took:?}");
    }))
    .await;
}
