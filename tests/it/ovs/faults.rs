//! What goes wrong on a switch that promises little: no candidate, no lock, no timer. Each ends in an
//! outcome that is true of the switch, which is looked at past Mercury.

use std::fs;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustix::process::Signal;

use super::*;
use crate::operations::becomes;
use crate::peers::{Action, Event, OpenVswitch, Peer, Proxy, Rule, require};
use crate::service::{Answer, attach, update};

const METRICS: &str = "[metrics]\nlisten = \"127.0.0.1:0\"\n";
/// What sends reads along with what they follow.
const TOGETHER: &str = "[cli.together]\nbetween = \" && echo ---- && \"\nline = \"----\"\n";
const WAITING: &str = "mercury_queue_depth{device=\"leaf1\"}";

/// How a call has to end.
#[derive(Clone, Copy, Debug)]
enum End {
    Applied,
    /// Failed in this phase, and the switch is as before.
    RolledBack(&'static str),
    /// The same so far: the command whose answer was lost may still come.
    MayCome,
}

use End::{Applied, MayCome, RolledBack};

/// What happens to which command, and how the call ends.
type Case = (&'static str, usize, Action, End);

/// A switch with two ports in VLAN 150, a service, and what stands between them.
struct Bench {
    switch: OpenVswitch,
    proxy: Proxy,
    site: Site,
    service: Service,
}

impl Bench {
    async fn new(limits: &str) -> Self {
        let switch = OpenVswitch::start(&["sv1", "sv2", "uplink"]).await;
        be_access(&switch, "sv1", 150);
        be_access(&switch, "sv2", 150);
        let proxy = switch.proxy(vec![]);
        let site = site(&switch, "").limits(limits).section(METRICS);
        let service = site.serve().await;
        Self { switch, proxy, site, service }
    }

    /// An attach of sv1 during which that happens.
    async fn attach(&self, (command, nth, action, end): Case) {
        let what = format!("{action:?} {command} {nth}");
        be_access(&self.switch, "sv1", 150);
        self.proxy.add(Rule::new(command, action).nth(nth));
        match (end, self.service.call("attach_port", attach("sv1", 100, &[])).await) {
            (Applied, Ok(change)) => {
                assert_eq!(change["outcome"], "applied", "{what}");
                assert_eq!(self.switch.port("sv1"), access(100), "{what}");
            }
            (RolledBack(phase), Err(failure)) => {
                let told = (failure.class(), failure.phase(), failure.outcome());
                assert_eq!(told, ("NetworkError", phase, "rolled_back"), "{what}: {failure:?}");
                assert_eq!(self.switch.port("sv1"), access(150), "{what}");
            }
            (MayCome, Err(failure)) => {
                let told = (failure.class(), failure.phase(), failure.outcome());
                assert_eq!(told, ("NetworkError", "commit", "unknown"), "{what}: {failure:?}");
                assert!(failure.message.contains("may still take effect"), "{what}: {failure:?}");
                assert_eq!(self.switch.port("sv1"), access(150), "{what}");
            }
            (_, answer) => panic!("{what}: {answer:?}"),
        }
        assert_eq!(self.switch.port("sv2"), access(150), "{what}");
        assert_eq!(self.site.journal().is_empty(), !matches!(end, MayCome), "{what}");
    }

    /// Starts an attach of sv1 and waits until the switch has carried it out, and nobody knows.
    async fn hold(&self) -> tokio::task::JoinHandle<Answer> {
        self.proxy.add(Rule::new("set port sv1", Action::HoldReply));
        let call = self.service.start_call("attach_port", attach("sv1", 100, &[]));
        self.proxy.wait_for(Event::reply("set port sv1")).await;
        call
    }

    /// How many commands changed VLANs so far.
    fn sets(&self) -> usize {
        self.switch.commands().iter().filter(|command| command.contains(" set port ")).count()
    }
}

fn be_access(switch: &OpenVswitch, port: &str, vlan: u16) {
    switch.vsctl(&["set", "port", port, "vlan_mode=access", &format!("tag={vlan}")]);
}

#[tokio::test]
async fn a_command_that_is_lost_leaves_the_port_as_before_or_as_asked() {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    let bench = Bench::new("").await;
    for case in [
        // On a connection that was just opened.
        ("list port", 1, Action::DropReply, RolledBack("lock")),
        ("set port", 1, Action::DropRequest, MayCome),
        // It stands, and is driven on to its end.
        ("set port", 1, Action::DropReply, Applied),
        // On a connection that was open before, whose end may have been on its way.
        ("list port", 1, Action::DropRequest, Applied),
        ("list port", 1, Action::DropReply, Applied),
    ] {
        bench.attach(case).await;
    }
}

#[tokio::test]
async fn a_switch_that_hangs_is_given_up_in_time() {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    let cases = [
        ("list port", 1, Action::HoldRequest, RolledBack("lock")),
        ("set port", 1, Action::HoldRequest, MayCome),
        ("set port", 1, Action::HoldReply, Applied),
    ];
    // All at once, since each only waits.
    join_all(cases.map(|case| async move {
        let bench = Bench::new("request_timeout = \"7s\"\nlock_wait = \"1s\"\n").await;
        let started = Instant::now();
        bench.attach(case).await;
        let took = started.elapsed();
        assert!(took < Duration::from_secs(8), "{case:?} took {took:?}");
    }))
    .await;
}

#[tokio::test]
async fn a_switch_that_is_away_after_the_change_is_settled_when_it_is_back() {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    let mut bench = Bench::new("request_timeout = \"6s\"\nlock_wait = \"1s\"\n").await;
    let call = bench.hold().await;
    bench.switch.kill_sshd();
    let failure = call.await.expect("no panic").expect_err("nobody can know");
    assert_eq!((failure.phase(), failure.outcome()), ("commit", "unknown"), "{failure:?}");
    assert!(failure.message.contains("NOT KNOWN"), "{failure:?}");
    assert_eq!(bench.switch.port("sv1"), access(100));
    assert_ne!(bench.site.journal(), "");
    // Still away: nothing new is begun.
    let failure = bench.service.call("attach_port", attach("sv2", 100, &[])).await.expect_err("it is away");
    assert_eq!((failure.phase(), failure.outcome()), ("recover", "unknown"), "{failure:?}");
    assert!(failure.message.contains("of this change nothing was sent"), "{failure:?}");
    assert_ne!(bench.site.journal(), "");
    bench.switch.restart_sshd().await;
    applied(&bench.service, "attach_port", attach("sv2", 100, &[])).await;
    assert_eq!([bench.switch.port("sv1"), bench.switch.port("sv2")], [access(150), access(100)]);
    assert_eq!(bench.site.journal(), "");
}

#[tokio::test]
async fn a_service_that_is_killed_leaves_what_the_next_start_finishes() {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    join_all([Action::HoldRequest, Action::HoldReply].map(|action| async move {
        let mut bench = Bench::new("").await;
        bench.proxy.add(Rule::new("set port", action));
        let call = bench.service.start_call("attach_port", attach("sv1", 100, &[]));
        let (event, holds) = match action {
            Action::HoldReply => (Event::reply("set port"), access(100)),
            _ => (Event::request("set port"), access(150)),
        };
        bench.proxy.wait_for(event).await;
        call.abort();
        bench.service.process.kill();
        assert_eq!(bench.switch.port("sv1"), holds, "{action:?}");
        assert!(bench.site.journal().contains("sv1"), "{action:?}");
        let mut next = bench.site.serve().await;
        // What did not arrive before the kill may still do so.
        let told = match action {
            Action::HoldReply => "an interrupted change was taken back",
            _ => "what was sent of it may still take effect",
        };
        next.process.wait_for_output(told).await;
        assert_eq!(bench.switch.port("sv1"), access(150), "{action:?}");
        // The next call finds nothing left to finish.
        applied(&next, "attach_port", attach("sv2", 100, &[])).await;
        assert_eq!(bench.site.journal(), "", "{action:?}");
    }))
    .await;
}

#[tokio::test]
async fn a_port_that_vanishes_fails_alone() {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    let bench = Bench::new("").await;
    // Both wait for this one, and go out together.
    let first = bench.hold().await;
    let calls = ["sv1", "sv2"]
        .map(|port| bench.service.start_call("update_port", update(port, "trunk", 110, &[111])));
    becomes(&bench.service, WAITING, "2").await;
    bench.proxy.add(Rule::new("tag=110", Action::HoldRequest));
    bench.proxy.release();
    first.await.expect("no panic").expect("it is applied");
    bench.proxy.wait_for(Event::request("tag=110")).await;
    let both = bench.switch.commands().pop().expect("it was sent");
    assert!(both.contains("set port sv1") && both.contains(" -- set port sv2"), "{both}");
    bench.switch.vsctl(&["del-port", "sv2"]);
    bench.proxy.release();
    let [one, two] = join_all(calls).await.try_into().expect("two calls");
    one.expect("no panic").expect("nothing is wrong with it");
    let failure = two.expect("no panic").expect_err("it is gone");
    assert!(failure.code == 400 && failure.message.contains("leaf1 has no port sv2"), "{failure:?}");
    assert_eq!(bench.switch.port("sv1"), trunk(Some(110), &[111]));
    assert_eq!(bench.site.journal(), "");
}

#[tokio::test]
async fn what_others_do_meanwhile_is_never_overwritten() {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    let mut bench = Bench::new("").await;
    // The same system, read with a command of its own after the change.
    let own = include_str!("../../../devices/ovs_linux.toml").replace(TOGETHER, "");
    fs::create_dir(bench.site.path("profiles")).expect("the directory is ours");
    fs::write(bench.site.path("profiles/ovs_linux.toml"), own).expect("the directory is ours");
    bench.site = bench.site.section("[models]\nprofiles = \"profiles\"\n");
    bench.service = bench.site.serve().await;
    let call = bench.hold().await;
    be_access(&bench.switch, "sv1", 170);
    bench.proxy.release();
    let failure = call.await.expect("no panic").expect_err("it does not hold what was asked");
    assert_eq!((failure.phase(), failure.outcome()), ("verify", "unknown"), "{failure:?}");
    assert!(failure.message.contains("others changed") && failure.message.contains("sv1"), "{failure:?}");
    assert_eq!(bench.switch.port("sv1"), access(170));
    // There is nothing left to settle, and what is there now is what the next change begins with.
    assert_eq!(bench.site.journal(), "");
    let change = applied(&bench.service, "attach_port", attach("sv1", 100, &[])).await;
    assert!(change["devices"][0]["inverse"].as_str().unwrap().contains("tag=170"), "{change}");
}

#[tokio::test]
async fn what_waits_for_one_switch_goes_out_as_one_command() {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    let names: Vec<String> = (1..=9).map(|n| format!("sv{n}")).collect();
    let switch = OpenVswitch::start(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let proxy = switch.proxy(vec![Rule::new("set port sv1 ", Action::HoldReply)]);
    let service = site(&switch, "").section(METRICS).serve().await;
    let call = |port: &String, vlan| service.start_call("attach_port", attach(port, vlan, &[]));
    let first = call(&names[0], 100);
    proxy.wait_for(Event::reply("set port sv1 ")).await;
    let others: Vec<_> = names[1..].iter().zip(101..).map(|(port, vlan)| call(port, vlan)).collect();
    becomes(&service, WAITING, "8").await;
    proxy.release();
    for answer in join_all([first].into_iter().chain(others)).await {
        assert_eq!(answer.expect("no panic").expect("all end well")["outcome"], "applied");
    }
    let sets: Vec<String> =
        switch.commands().into_iter().filter(|command| command.contains(" set port ")).collect();
    assert_eq!(sets.len(), 2, "{sets:#?}");
    assert_eq!(sets[1].matches(" vlan_mode=access tag=").count(), 8, "{sets:#?}");
    for (port, vlan) in names.iter().zip(100..) {
        assert_eq!(switch.port(port), access(vlan));
    }
}

#[tokio::test]
async fn what_may_not_be_touched_or_cannot_be_understood_is_refused_by_name() {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    let bench = Bench::new("").await;
    let (uplink, odd) = (bench.switch.port("uplink"), "vlan_mode=dot1q-tunnel");
    let failure = bench.service.call("attach_port", attach("uplink", 100, &[])).await;
    let failure = failure.expect_err("it is protected");
    assert!(failure.code == 400 && failure.message.contains("`uplink` of leaf1 is protected"), "{failure:?}");

    bench.switch.vsctl(&["set", "port", "sv1", odd, "tag=150"]);
    let tunnel = bench.switch.port("sv1");
    // Whoever comes at the same time has nothing to do with it.
    let calls = ["sv1", "sv2"].map(|port| bench.service.start_call("attach_port", attach(port, 100, &[])));
    let [one, two] = join_all(calls).await.try_into().expect("two calls");
    let failure = one.expect("no panic").expect_err("nobody knows what it means");
    assert!(failure.message.contains("port sv1") && failure.message.contains("dot1q-tunnel"), "{failure:?}");
    assert_eq!(failure.outcome(), "rolled_back", "{failure:?}");
    two.expect("no panic").expect("nothing is wrong with it");
    assert_eq!([bench.switch.port("uplink"), bench.switch.port("sv1")], [uplink, tunnel]);
    assert_eq!((bench.switch.port("sv2"), bench.sets()), (access(100), 1));
    assert_eq!(bench.site.journal(), "");
}

#[tokio::test]
async fn an_edited_template_is_taken_with_a_reload() {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    let switch = OpenVswitch::start(&["sv1"]).await;
    let site = site(&switch, "").section(METRICS).section("[models]\ntemplates = \"templates\"\n");
    let file = site.path("templates/ovs_linux/port.j2");
    fs::create_dir_all(file.parent().expect("it is in a directory")).expect("the directory is ours");
    let built_in = include_str!("../../../templates/ovs_linux/port.j2");
    fs::write(&file, built_in).expect("the directory is ours");
    let mut service = site.serve().await;
    applied(&service, "attach_port", attach("sv1", 100, &[])).await;

    // It would do more than was asked, and nothing is sent.
    fs::write(
        &file,
        built_in.to_owned() + "\novs-vsctl set port sv1 vlan_mode=trunk 'tag=[]' 'trunks=[300]'\n",
    )
    .expect("the directory is ours");
    service.process.signal(Signal::HUP);
    service.process.wait_for_output("configuration reloaded").await;
    let failure =
        service.call("attach_port", attach("sv1", 101, &[])).await.expect_err("it is not what was asked");
    assert!(failure.message.contains("300"), "{failure:?}");
    assert_eq!(switch.port("sv1"), access(100));

    // A mistake in it changes nothing.
    fs::write(&file, "{% if %}").expect("the directory is ours");
    service.process.signal(Signal::HUP);
    service.process.wait_for_output("port.j2:1").await;
    service.call("attach_port", attach("sv1", 101, &[])).await.expect_err("it is the one before");

    fs::write(&file, format!("{built_in}\nip link set dev {{{{ port }}}} up\n"))
        .expect("the directory is ours");
    service.process.signal(Signal::HUP);
    becomes(&service, "mercury_config_generation", "3").await;
    applied(&service, "attach_port", attach("sv1", 101, &[])).await;
    assert_eq!(switch.port("sv1"), access(101));
    let sent = switch.commands().join("\n");
    assert_eq!(sent.matches("tag=101 'trunks=[]' && ip link set dev sv1 up").count(), 1, "{sent}");
}
