//! The peers do what the tests rely on.

use std::fs;

use tempfile::TempDir;

use super::process::{Process, command};
use super::*;

const FILTER: &str = r#"<interfaces xmlns="http://openconfig.net/yang/interfaces"/>"#;

fn interface(name: &str) -> String {
    format!(
        r#"<interfaces xmlns="http://openconfig.net/yang/interfaces"><interface><name>{name}</name><config>
           <name>{name}</name><type xmlns:t="urn:ietf:params:xml:ns:yang:iana-if-type">t:ethernetCsmacd</type>
           </config></interface></interfaces>"#
    )
}

#[tokio::test]
async fn netconfd_with_a_candidate_commits_what_was_edited() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let server = Netconfd::start(Shape::Candidate).await;
    let mut session = server.connect().await;
    assert!(session.hello().contains(":candidate:1.0"), "{}", session.hello());
    assert!(session.hello().contains(":confirmed-commit:1.1"));
    session.ok("<lock><target><candidate/></target></lock>").await;
    let refused = server.connect().await.rpc("<lock><target><candidate/></target></lock>").await;
    assert!(refused.contains("lock-denied"), "{refused}");
    session.edit("candidate", &interface("eth1")).await;
    assert!(!server.running_xml().await.contains("eth1"));
    session.ok("<commit/>").await;
    session.ok("<unlock><target><candidate/></target></unlock>").await;
    assert!(server.running_xml().await.contains("<name>eth1</name>"));
}

#[tokio::test]
async fn netconfd_without_a_candidate_keeps_what_was_saved_over_a_power_loss() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let mut server = Netconfd::start(Shape::RunningStartup).await;
    let mut session = server.connect().await;
    assert!(!session.hello().contains(":candidate:1.0"), "{}", session.hello());
    assert!(session.hello().contains(":startup:1.0"));
    session.edit("running", &interface("eth1")).await;
    session.ok("<copy-config><target><startup/></target><source><running/></source></copy-config>").await;
    session.edit("running", &interface("eth2")).await;
    assert!(server.get_config("running", FILTER).await.contains("eth2"));
    let port = server.port;
    server.kill_server();
    server.restart().await;
    assert_eq!(server.port, port);
    let running = server.get_config("running", FILTER).await;
    assert!(running.contains("eth1") && !running.contains("eth2"), "{running}");
}

#[tokio::test]
async fn netconfd_loads_other_modules_too() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let own = TempDir::new().unwrap();
    let module =
        r#"module own { namespace "urn:own"; prefix o; container own { leaf it { type string; } } }"#;
    fs::write(own.path().join("own.yang"), module).unwrap();
    let mut options = Options::new(Shape::Candidate);
    options.yang.insert(0, own.path().to_owned());
    options.modules.push("own".to_owned());
    let server = Netconfd::start_with(options).await;
    assert!(server.dir().join("home/startup-cfg.xml").exists());
    let mut session = server.connect().await;
    session.edit("candidate", r#"<own xmlns="urn:own"><it>works</it></own>"#).await;
    session.ok("<commit/>").await;
    assert!(server.get_config("running", r#"<own xmlns="urn:own"/>"#).await.contains("<it>works</it>"));
}

#[tokio::test]
async fn ncclient_reads_from_netconfd() {
    if !require(&[Peer::Netconfd, Peer::Ncclient]) {
        return;
    }
    let server = Netconfd::start(Shape::Candidate).await;
    let script = "\
import sys
from ncclient import manager
port, user, key = sys.argv[1:]
with manager.connect(host='127.0.0.1', port=int(port), username=user, key_filename=key,
                     hostkey_verify=False, allow_agent=False, look_for_keys=False) as session:
    print(session.get_config('running').ok)
";
    let mut ncclient = command(python());
    ncclient.args(["-I", "-c", script, &server.port.to_string(), &server.username]).arg(&server.key);
    let output = ncclient.output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "True\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_openconfig_modules_look_at_the_configured_type() {
    if !require(&[Peer::OpenConfig]) {
        return;
    }
    for module in ["openconfig-if-ethernet", "openconfig-if-aggregate"] {
        let text = fs::read_to_string(openconfig_dir().join(format!("{module}.yang"))).unwrap();
        assert!(text.contains("oc-if:config/oc-if:type =") && !text.contains("oc-if:state/oc-if:type ="));
    }
    assert!(openconfig_dir().join("openconfig-network-instance.yang").exists());
}

/// A client through the proxy, which [`Netconfd::connect`] goes past.
async fn proxied(server: &Netconfd) -> RawClient {
    let mut ssh = raw_client::ssh(server.port, &server.known_hosts);
    ssh.args(["-o", "BatchMode=yes", "-i"]).arg(&server.key);
    RawClient::open(ssh, &server.username, "netconf").await
}

/// Without those to what a client sends again on a slow machine.
fn replies(proxy: &Proxy) -> Vec<Event> {
    let pushed = Event::reply("push");
    let is_step = |event: &Event| matches!(event, Event::Reply(_)) && *event != pushed;
    proxy.events().into_iter().filter(is_step).collect()
}

#[tokio::test]
async fn the_proxy_holds_exactly_the_named_reply() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let rules = vec![Rule::new("confirmed-commit", Action::HoldReply).nth(2)];
    let (server, proxy) = Netconfd::start_with_proxy(Shape::Candidate, rules).await;
    let mut session = proxied(&server).await;
    let timed = "<commit><confirmed/><confirm-timeout>60</confirm-timeout><persist>x</persist></commit>";
    session.edit("candidate", &interface("eth1")).await;
    session.ok(timed).await;
    session.ok("<commit><persist-id>x</persist-id></commit>").await;
    session.edit("candidate", &interface("eth2")).await;
    let mut held = tokio::spawn(async move {
        session.ok(timed).await;
        session
    });
    proxy.wait_for(Event::reply("confirm")).await;
    proxy.wait_for_nth(Event::reply("confirmed-commit"), 2).await;
    // The server has acted, and the client does not know.
    assert!(server.running_xml().await.contains("eth2"));
    assert!(!held.is_finished());
    proxy.release();
    let mut session = (&mut held).await.unwrap();
    session.ok("<cancel-commit><persist-id>x</persist-id></cancel-commit>").await;
    assert!(!server.running_xml().await.contains("eth2"));
    let names = [
        "hello",
        "edit-config",
        "confirmed-commit",
        "confirm",
        "edit-config",
        "confirmed-commit",
        "cancel-commit",
    ];
    assert_eq!(replies(&proxy), names.map(Event::reply));
}

#[tokio::test]
async fn the_proxy_loses_a_message_before_or_after_its_effect() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    for (action, happened) in [(Action::DropRequest, false), (Action::DropReply, true)] {
        let (server, proxy) = Netconfd::start_with_proxy(Shape::RunningStartup, vec![]).await;
        let mut session = proxied(&server).await;
        proxy.add(Rule::new("edit-config", action));
        let lost = tokio::spawn(async move { session.edit("running", &interface("eth1")).await });
        let closed = lost.await.expect_err("the session closes without an answer");
        assert!(closed.is_panic());
        assert_eq!(server.running_xml().await.contains("eth1"), happened, "{action:?}");
        // Only that one: the next session is served.
        proxied(&server).await.edit("running", &interface("eth2")).await;
    }
}

#[tokio::test]
async fn the_proxy_holds_a_request_in_front_of_the_server() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let rules = vec![Rule::new("lock", Action::HoldRequest)];
    let (server, proxy) = Netconfd::start_with_proxy(Shape::Candidate, rules).await;
    let mut session = proxied(&server).await;
    let lock = "<lock><target><candidate/></target></lock>";
    let held = tokio::spawn(async move { session.rpc(lock).await });
    proxy.wait_for(Event::request("lock")).await;
    let mut other = server.connect().await;
    other.ok(lock).await;
    proxy.release();
    assert!(held.await.unwrap().contains("lock-denied"));
}

#[tokio::test]
async fn asyncssh_takes_its_logins_with_old_algorithms_too() {
    if !require(&[Peer::AsyncSsh]) {
        return;
    }
    for (login, old) in
        [(Login::Password, false), (Login::KeyboardInteractive, false), (Login::Password, true)]
    {
        let server = AsyncSsh::start(login, old);
        assert!(server.host_key.starts_with(if old { "ssh-rsa " } else { "ssh-ed25519 " }));
        let mut session = server.connect().await;
        assert!(session.get_config("running", "").await.contains("<data/>"));
        session.ok("<lock><target><candidate/></target></lock>").await;
        assert!(session.rpc("<reboot/>").await.contains("operation-not-supported"));
        session.ok("<close-session/>").await;
    }
}

fn shell(script: &str) -> std::process::Command {
    let mut shell = command("sh");
    shell.args(["-c", script]);
    shell
}

#[tokio::test]
async fn a_service_is_known_by_the_line_it_prints() {
    let script = "echo starting >&2; echo listening on http://127.0.0.1:1; echo more; exec sleep 60";
    let mut serve = Serve::start_command(&mut shell(script)).await.unwrap();
    assert_eq!(serve.address, Address::Http("127.0.0.1:1".to_owned()));
    serve.wait_for_output("more").await;
    assert!(serve.output().contains("listening on"));
    assert!(!serve.terminate().await.success());
    let mut serve =
        Serve::start_command(&mut shell("echo listening on unix:/x; exec sleep 60")).await.unwrap();
    assert_eq!(serve.address, Address::Unix("/x".into()));
    serve.kill();
}

#[tokio::test]
async fn a_service_that_does_not_start_tells_why() {
    let failed = Serve::start_command(&mut shell("echo no such file >&2; exit 1")).await;
    assert_eq!(failed.err().as_deref(), Some("no such file\n"));
    let dir = TempDir::new().unwrap();
    assert!(Serve::start(&dir.path().join("missing.toml")).await.is_err());
}

#[tokio::test]
async fn nothing_is_left_when_a_process_is_dropped() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("pid");
    // A grandchild in a session of its own, as sshd's children are.
    let mut shell = command("sh");
    shell.args(["-c", "setsid sh -c 'echo $$ > $0.new; mv $0.new $0; exec sleep 60' $0"]).arg(&file);
    let process = Process::spawn(&mut shell);
    patiently("the grandchild", async {
        while !file.exists() {
            process::poll_pause().await;
        }
    })
    .await;
    let pid = fs::read_to_string(&file).unwrap();
    let alive = || {
        let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap_or_default();
        status.contains("State:") && !status.contains("zombie")
    };
    assert!(alive());
    drop(process);
    patiently("the grandchild to end", async {
        while alive() {
            process::poll_pause().await;
        }
    })
    .await;
}
