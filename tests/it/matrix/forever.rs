//! From some step on nothing works any more. The answer comes in time and says what is known; when
//! the switch is back, the next change, or a restart, settles what was left open.

use super::single::REJECT;
use super::*;

/// After this long no timer of an earlier change is running.
const LATER: Duration = Duration::from_secs(300);

/// The rpcs of a change that goes well.
async fn steps(kind: Kind) -> Vec<String> {
    let lab = Lab::one(kind).await;
    lab.attach(&[("leaf1", "eth1")], 100).await;
    lab.leaf1().log().into_iter().map(|logged| logged.rpc).collect()
}

struct Cell {
    kind: Kind,
    steps: Vec<String>,
    /// The last step that works.
    last: usize,
    what: What,
    restart: bool,
}

impl Cell {
    /// Of the first or of the last rpc of this name.
    fn at(&self, rpc: &str, find: fn(&[String], &str) -> Option<usize>) -> usize {
        find(&self.steps, rpc).unwrap()
    }

    fn end(&self) -> End {
        let first = |steps: &[String], rpc: &str| steps.iter().position(|step| step == rpc);
        let last = |steps: &[String], rpc: &str| steps.iter().rposition(|step| step == rpc);
        let done = self.at(self.kind.last(), last);
        // A target that refuses everything has no commit extension.
        let is_connected = self.last > 0 || matches!(self.what, What::Reject(_));
        if self.kind.is_gnmi() && !is_connected {
            End::RolledBack(Phase::Connect)
        } else if self.last < self.at(self.kind.read(), first) {
            End::RolledBack(Phase::Lock)
        } else if self.last < done {
            End::Unknown
        } else {
            End::Applied
        }
    }

    async fn problem(&self) -> String {
        let mut spec = spec("leaf1", self.kind);
        // Time to act between two steps.
        spec.latency = Duration::from_millis(10);
        let mut lab = Lab::new(vec![spec.clone()]).await;
        let switch = lab.switches["leaf1"].clone();
        let started = Instant::now();
        let (engine, call) = (lab.engine.clone(), attach(&[("leaf1", "eth1")], 100));
        let change = tokio::spawn(async move { engine.change(call).await.unwrap() });
        while switch.log().len() <= self.last {
            assert!(!change.is_finished(), "it ended before");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for rpc in ["any", self.kind.hello()] {
            switch.inject(FaultSpec::every(rpc, self.what.clone()));
        }
        let change = change.await.unwrap();
        if started.elapsed() > BUDGET {
            return format!("the answer took {:?}", started.elapsed());
        }
        let end = end_of(&change, 0);
        if end != Some(self.end()) {
            return format!("{:?}, expected {:?}", change.devices[0].outcome, self.end());
        }
        if lab.journals().is_empty() == (end == Some(End::Unknown)) {
            return format!("{end:?} and the journal is `{}`", lab.journals());
        }

        switch.clear_faults();
        let mut ports = Vec::new();
        if end == Some(End::Applied) {
            ports.push(("eth1", 100));
        }
        if self.restart {
            lab.restart();
            lab.engine.recover().await;
        } else {
            let next = lab.attach(&[("leaf1", "eth2")], 101).await;
            if next.outcome != "applied" {
                return format!("the next change: {next:?}");
            }
            ports.push(("eth2", 101));
        }
        let left = lab.leftovers().await;
        if !left.is_empty() {
            return left;
        }
        let expected = sound(&spec, &ports).await;
        let settled = switch.running_xml();
        tokio::time::sleep(LATER).await;
        if settled != expected {
            return format!("settled as {}", differences(&settled, &expected));
        }
        if switch.running_xml() != expected {
            return format!("later it changed to {}", differences(&switch.running_xml(), &expected));
        }
        if self.kind == Kind::RunningStartup && switch.startup_xml() != expected {
            return format!("startup is {}", differences(&switch.startup_xml(), &expected));
        }
        left
    }
}

async fn nothing_works_any_more(kind: Kind) {
    let mut wrong = Wrong::default();
    let steps = steps(kind).await;
    for last in 0..steps.len() {
        for what in [What::HangBefore, What::DropBefore, What::Reject(REJECT.to_owned())] {
            for restart in [true, false] {
                let then = if restart { "restart" } else { "next change" };
                let name = format!("{} until {}#{last}, then {what:?}, {then}", kind.name(), steps[last]);
                let cell = Cell { kind, steps: steps.clone(), last, what: what.clone(), restart };
                wrong.cell(&name, &cell.problem().await);
            }
        }
    }
    wrong.none();
}

#[tokio::test(start_paused = true)]
async fn candidate_persist() {
    nothing_works_any_more(Kind::CandidatePersist).await;
}

#[tokio::test(start_paused = true)]
async fn candidate_session() {
    nothing_works_any_more(Kind::CandidateSession).await;
}

#[tokio::test(start_paused = true)]
async fn candidate_plain() {
    nothing_works_any_more(Kind::CandidatePlain).await;
}

#[tokio::test(start_paused = true)]
async fn any_commit() {
    nothing_works_any_more(Kind::AnyCommit).await;
}

#[tokio::test(start_paused = true)]
async fn gnmi() {
    nothing_works_any_more(Kind::Gnmi).await;
}

#[tokio::test(start_paused = true)]
async fn gnmi_plain() {
    nothing_works_any_more(Kind::GnmiPlain).await;
}

#[tokio::test(start_paused = true)]
async fn running() {
    nothing_works_any_more(Kind::Running).await;
}

#[tokio::test(start_paused = true)]
async fn running_startup() {
    nothing_works_any_more(Kind::RunningStartup).await;
}
