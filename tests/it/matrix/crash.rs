//! The service dies at each step and starts again: what the journal holds is enough to finish.

use tokio::runtime::Runtime;

use super::single::has_effect;
use super::*;

/// A runtime of its own: when it goes, whatever ran on it stops where it stood, as in a kill.
pub fn process() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// Runs a change until the switch has seen `steps` messages, and dies there.
pub fn die_after(lab: &Lab, process: Runtime, ports: &[(&str, &str)], steps: impl Fn(&Lab) -> bool) {
    let (engine, call) = (lab.engine.clone(), attach(ports, 100));
    process.block_on(async {
        let change = tokio::spawn(async move { engine.change(call).await });
        while !steps(lab) {
            assert!(!change.is_finished(), "it ended before: {:?}", change.await);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

struct Cell {
    kind: Kind,
    spec: SwitchSpec,
    /// Where it dies, in the order of the switch's log.
    at: usize,
    rpc: String,
    nth: u32,
    what: What,
    /// The next change finishes it, or the next start does.
    restart: bool,
}

impl Cell {
    fn name(&self) -> String {
        let then = if self.restart { "start" } else { "use" };
        let quirk = if self.spec.quirks.ignore.is_some() { " (mismatch)" } else { "" };
        let name = self.kind.name();
        format!("{name}{quirk} {}@{} (#{}) {:?}, next {then}", self.rpc, self.nth, self.at, self.what)
    }

    /// Whether the change stays: it had been verified, and what makes it permanent was sent.
    fn stays(&self, confirm: usize, save: usize) -> bool {
        match self.kind {
            _ if self.spec.quirks.ignore.is_some() => false,
            Kind::RunningStartup => self.at >= save,
            // Any commit confirms it, and the next start's is as good as ours.
            Kind::AnyCommit => self.at >= confirm,
            kind if kind.is_timed() => self.at > confirm || self.at == confirm && has_effect(&self.what),
            // Without a timer it may go either way until the answer; it goes back.
            _ => false,
        }
    }

    fn problem(&self, stays: bool) -> String {
        let first = process();
        let mut lab = first.block_on(Lab::new(vec![self.spec.clone()]));
        let switch = lab.switches["leaf1"].clone();
        switch.inject(FaultSpec { rpc: self.rpc.clone(), nth: Nth::Only(self.nth), what: self.what.clone() });
        die_after(&lab, first, &[("leaf1", "eth1")], |lab| lab.leaf1().log().len() > self.at);
        switch.clear_faults();
        lab.restart();
        process().block_on(async {
            let mut ports = Vec::new();
            if stays {
                ports.push(("eth1", 100));
            }
            if self.restart {
                lab.engine.recover().await;
            } else {
                let next = lab.engine.change(attach(&[("leaf1", "eth2")], 101)).await.unwrap();
                if self.spec.quirks.ignore.is_none() {
                    if next.outcome != "applied" {
                        return format!("the next change: {next:?}");
                    }
                    ports.push(("eth2", 101));
                }
            }
            let left = lab.leftovers().await;
            let expected = sound(&self.spec, &ports).await;
            let settled = switch.running_xml();
            tokio::time::sleep(Duration::from_secs(300)).await;
            if !left.is_empty() {
                left
            } else if settled != expected {
                format!("settled as {}", differences(&settled, &expected))
            } else if switch.running_xml() != expected {
                format!("later it changed to {}", differences(&switch.running_xml(), &expected))
            } else if switch.startup_xml() != expected && self.kind == Kind::RunningStartup {
                format!("startup is {}", differences(&switch.startup_xml(), &expected))
            } else {
                left
            }
        })
    }
}

/// Dies in every step of a change that goes well, or of one that is undone because the switch
/// ignored half of it.
fn every_step(kind: Kind, mismatch: bool) {
    let mut spec = spec("leaf1", kind);
    spec.quirks.ignore = mismatch.then(|| "access-vlan".to_owned());
    let log = process().block_on(async {
        let lab = Lab::new(vec![spec.clone()]).await;
        lab.attach(&[("leaf1", "eth1")], 100).await;
        lab.leaf1().log()
    });
    let position = |rpc: &str| log.iter().position(|logged| logged.rpc == rpc).unwrap_or(usize::MAX);
    let (confirm, save) = (position(kind.confirm()), position("copy-config"));
    let mut wrong = Wrong::default();
    for at in 0..log.len() {
        let nth = log[..=at].iter().filter(|logged| logged.rpc == log[at].rpc).count() as u32;
        for what in [What::HangBefore, What::HangAfter] {
            for restart in [true, false] {
                let (rpc, what) = (log[at].rpc.clone(), what.clone());
                let cell = Cell { kind, spec: spec.clone(), at, rpc, nth, what, restart };
                wrong.cell(&cell.name(), &cell.problem(cell.stays(confirm, save)));
            }
        }
    }
    wrong.none();
}

#[test]
fn in_a_change_that_goes_well() {
    Kind::ALL.into_iter().for_each(|kind| every_step(kind, false));
}

#[test]
fn in_a_change_that_is_undone() {
    Kind::ALL.into_iter().for_each(|kind| every_step(kind, true));
}

/// Over two switches: each is settled by its own journal, exactly before or exactly after. The one
/// that waited may be before where the other was confirmed already: nobody was told of success.
#[test]
fn in_a_change_of_two_switches() {
    let mut wrong = Wrong::default();
    for kind in Kind::ALL {
        let both = || vec![spec("leaf1", kind), spec("leaf2", kind)];
        let ports = [("leaf1", "eth1"), ("leaf2", "eth1")];
        let log = process().block_on(async {
            let lab = Lab::new(both()).await;
            lab.attach(&ports, 100).await;
            lab.switch("leaf2").log()
        });
        for at in 0..log.len() {
            let rpc = &log[at].rpc;
            let nth = log[..=at].iter().filter(|logged| logged.rpc == *rpc).count() as u32;
            for what in [What::HangBefore, What::HangAfter] {
                let cell = format!("{} {rpc}@{nth} {what:?}", kind.name());
                let first = process();
                let mut lab = first.block_on(Lab::new(both()));
                let before = lab.switch("leaf1").running_xml();
                lab.switch("leaf2").inject(FaultSpec { rpc: rpc.clone(), nth: Nth::Only(nth), what });
                die_after(&lab, first, &ports, |lab| lab.switch("leaf2").log().len() > at);
                lab.switch("leaf2").clear_faults();
                lab.restart();
                process().block_on(async {
                    lab.engine.recover().await;
                    let mut problem = lab.leftovers().await;
                    tokio::time::sleep(Duration::from_secs(300)).await;
                    let after = sound(&spec("leaf1", kind), &[("eth1", 100)]).await;
                    for name in ["leaf1", "leaf2"] {
                        let running = lab.switch(name).running_xml();
                        if running != before && running != after {
                            problem += &format!("{name} is {}", differences(&running, &before));
                        }
                    }
                    wrong.cell(&cell, &problem);
                });
            }
        }
    }
    wrong.none();
}

/// A network that is added or deleted: the same, with the VLAN's entry and its name to give back.
#[test]
fn in_a_change_of_a_network() {
    use super::networks;
    let mut wrong = Wrong::default();
    let vlan = VlanId::new(150).unwrap();
    for kind in Kind::ALL {
        for intent in [Intent::AddNetwork { vlan }, Intent::DeleteNetwork { vlan, force: false }] {
            let has = if matches!(intent, Intent::AddNetwork { .. }) { &[10][..] } else { &[10, 150] };
            let spec = networks::spec("leaf1", kind, has);
            let call = || networks::call(&["leaf1"], intent.clone());
            let (log, before, after) = process().block_on(async {
                let lab = Lab::new(vec![spec.clone()]).await;
                let before = lab.leaf1().running_xml();
                assert_eq!(lab.engine.change(call()).await.unwrap().outcome, "applied");
                (lab.leaf1().log(), before, lab.leaf1().running_xml())
            });
            for at in 0..log.len() {
                let rpc = &log[at].rpc;
                let nth = log[..=at].iter().filter(|logged| logged.rpc == *rpc).count() as u32;
                for what in [What::HangBefore, What::HangAfter] {
                    let cell = format!("{} {} {rpc}@{nth} {what:?}", kind.name(), intent.verb());
                    let first = process();
                    let mut lab = first.block_on(Lab::new(vec![spec.clone()]));
                    lab.leaf1().inject(FaultSpec { rpc: rpc.clone(), nth: Nth::Only(nth), what });
                    let (engine, asked) = (lab.engine.clone(), call());
                    first.block_on(async {
                        let change = tokio::spawn(async move { engine.change(asked).await });
                        while lab.leaf1().log().len() <= at {
                            assert!(!change.is_finished(), "{cell}: it ended before");
                            tokio::time::sleep(Duration::from_millis(1)).await;
                        }
                    });
                    drop(first);
                    lab.leaf1().clear_faults();
                    lab.restart();
                    process().block_on(async {
                        lab.engine.recover().await;
                        let mut problem = lab.leftovers().await;
                        tokio::time::sleep(Duration::from_secs(300)).await;
                        let running = lab.leaf1().running_xml();
                        if running != before && running != after {
                            problem += &running;
                        }
                        wrong.cell(&cell, &problem);
                    });
                }
            }
        }
    }
    wrong.none();
}

/// A switch whose change died while it waited for the answer to `rpc`, and the journal's file.
fn died_at(rpc: &str) -> (Lab, std::path::PathBuf) {
    let first = process();
    let lab = first.block_on(Lab::one(Kind::CandidatePersist));
    lab.leaf1().inject(FaultSpec::once(rpc, What::HangBefore));
    die_after(&lab, first, &[("leaf1", "eth1")], |lab| {
        lab.leaf1().log().iter().any(|logged| logged.rpc == rpc)
    });
    lab.leaf1().clear_faults();
    let file = lab.journal();
    (lab, file)
}

/// What a journal looks like when the machine went down while it was written, or when somebody
/// else wrote to it.
#[test]
fn journals_that_are_torn_or_garbled() {
    let (_lab, file) = died_at("confirm");
    let whole = std::fs::read(&file).unwrap();
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), 3, "a record, then commit and confirm");
    let half = |line: &[u8]| line[..line.len() / 2].to_vec();
    let cases: [(&str, &str, Vec<u8>, bool); 7] = [
        // The sync comes before the send, so what is torn had not been begun.
        ("lock", "half a record", half(lines[0]), true),
        ("edit-config", "half a phase", [lines[0], &half(lines[1])].concat(), true),
        ("confirm", "half of the last phase", [lines[0], lines[1], &half(lines[2])].concat(), true),
        ("confirm", "garbage in a line", b"\x01\x02 not a record\n".to_vec(), false),
        ("confirm", "no text at all", b"\xff\xfe\xff\n".to_vec(), false),
        ("confirm", "garbage for a phase", [lines[0], b"{\"phase\":\"lunch\"}\n"].concat(), false),
        ("confirm", "another record's end", [&half(lines[0]), lines[1]].concat(), false),
    ];
    for (rpc, name, content, is_settled) in cases {
        let (mut lab, file) = died_at(rpc);
        std::fs::write(&file, &content).unwrap();
        lab.restart();
        process().block_on(async {
            let log = lab.leaf1().log().len();
            lab.engine.recover().await;
            let change = lab.attach(&[("leaf1", "eth2")], 101).await;
            if is_settled {
                assert_eq!(change.outcome, "applied", "{name}: {change:?}");
                assert_eq!(lab.leftovers().await, "", "{name}");
                let expected = sound(&spec("leaf1", Kind::CandidatePersist), &[("eth2", 101)]).await;
                assert_eq!(differences(&lab.leaf1().running_xml(), &expected), "", "{name}");
            } else {
                // Fail closed: nothing is sent, the file stays as it is, and the answer names it.
                assert_eq!(end_of(&change, 0), Some(End::Unknown), "{name}");
                let outcome = change.devices[0].outcome.as_ref().unwrap().to_string();
                assert!(outcome.contains("of this change nothing was sent"), "{name}: {outcome}");
                assert!(outcome.contains(&file.display().to_string()), "{name}: {outcome}");
                assert_eq!(std::fs::read(&file).unwrap(), content, "{name}");
                assert_eq!(lab.leaf1().log().len(), log, "{name}: something was sent");
            }
        });
    }
}

/// A disk that takes what is written and lets nothing go: what is told as applied is not what the next
/// start takes back.
#[test]
fn a_journal_that_cannot_be_emptied() {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    use std::os::fd::AsRawFd;
    let mut wrong = Wrong::default();
    for kind in Kind::ALL {
        let first = process();
        let mut lab = first.block_on(Lab::one(kind));
        let disk = memfd_create("journal", MemfdFlags::ALLOW_SEALING).unwrap();
        fcntl_add_seals(&disk, SealFlags::SHRINK).unwrap();
        let path = format!("/proc/self/fd/{}", disk.as_raw_fd());
        std::os::unix::fs::symlink(path, lab.locks.path().join("in-memory_1.lock")).unwrap();
        let change = first.block_on(lab.attach(&[("leaf1", "eth1")], 100));
        assert_ne!(lab.journals(), "", "it was emptied");
        drop(first);
        lab.restart();
        process().block_on(lab.engine.recover());
        let stays = is_in(&lab.leaf1().running_xml(), "eth1", 100);
        let problem = match (end_of(&change, 0), stays) {
            (Some(End::Applied), true) => String::new(),
            (Some(End::Unknown), _) if !kind.is_timed() && kind != Kind::RunningStartup => String::new(),
            (end, stays) => format!("{end:?}, stays {stays}"),
        };
        wrong.cell(kind.name(), &problem);
    }
    wrong.none();
}

/// Asked again and again, as by one reload after the other, while the switch says nothing.
#[test]
fn recoveries_do_not_pile_up() {
    let (mut lab, _) = died_at("confirmed-commit");
    lab.leaf1().clear_faults();
    lab.restart();
    process().block_on(async {
        lab.leaf1().inject(FaultSpec::every("hello", What::HangBefore));
        let begun = lab.engine.recover();
        let later = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let asked = futures_util::future::join_all((0..5).map(|_| lab.engine.recover()));
            let look = async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let waiting = lab.engine.waiting();
                lab.leaf1().clear_faults();
                waiting
            };
            tokio::join!(asked, look).1
        };
        let ((), waiting) = tokio::join!(begun, later);
        assert_eq!(waiting["leaf1"], 1, "one behind the one at work");
        assert_eq!(lab.leftovers().await, "");
    });
}

/// leaf2 is reached through leaf1's port, which is not there until leaf1's change is taken back: it
/// is tried until then.
#[test]
fn a_child_is_recovered_through_its_parents_port() {
    for kind in [Kind::CandidatePersist, Kind::CandidateSession] {
        let first = process();
        let specs = vec![spec("leaf1", kind), spec("leaf2", kind)];
        let mut lab = first.block_on(Lab::with(specs, Wire::Behind, BUDGET, LOCK_WAIT));
        let family = |vlan: i64| {
            let mut call = attach(&[("leaf1", "eth1"), ("leaf2", "eth1")], vlan);
            call.targets[usize::from(vlan == 100)].level = 1;
            call
        };
        first.block_on(async {
            assert_eq!(lab.engine.change(family(100)).await.unwrap().outcome, "applied");
            // Away: the child first.
            lab.leaf1().inject(FaultSpec::once("confirmed-commit", What::HangAfter));
            let (engine, call) = (lab.engine.clone(), family(101));
            let change = tokio::spawn(async move { engine.change(call).await });
            while is_in(&lab.leaf1().running_xml(), "eth1", 100) {
                assert!(!change.is_finished(), "it ended before: {:?}", change.await);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        drop(first);
        lab.leaf1().clear_faults();
        lab.restart();
        process().block_on(async {
            assert_eq!(lab.journals().lines().count(), 4, "{}", lab.journals());
            lab.engine.recover().await;
            for leaf in ["leaf1", "leaf2"] {
                assert!(is_in(&lab.switch(leaf).running_xml(), "eth1", 100), "{kind:?} {leaf}");
            }
            assert_eq!(lab.leftovers().await, "", "{kind:?}");
        });
    }
}
