//! The NETCONF client against servers that no one here wrote.

use std::path::Path as FilePath;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use mercury::device::{
    Credential, Device, Endpoint, HostKey, Model, NetconfHabits, OpenConfigHabits, Profile, Save, Speaks,
    SshHabits,
};
use mercury::path::Path;
use mercury::render::Payload;
use mercury::schema::Schema;
use mercury::transport::netconf::NetconfConnector;
use mercury::transport::{Cause, Commit, Connector, Fault, ReadSet, Session, Store, Timed};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::peers::{Action, AsyncSsh, Login, Netconfd, Peer, Rule, Shape, require};

const NC: &str = "xmlns:nc=\"urn:ietf:params:xml:ns:netconf:base:1.0\"";

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn endpoint(port: u16, username: &str, credential: Credential, known_hosts: &FilePath) -> Endpoint {
    Endpoint {
        address: "127.0.0.1".to_owned(),
        port,
        username: username.to_owned(),
        credential,
        credential_from: String::new(),
        enable_secret: None,
        host_key: HostKey::KnownHosts(known_hosts.to_owned()),
        cli_port: None,
        gnmi: None,
    }
}

fn connector(endpoint: Endpoint, confirm: Option<Timed>, ssh_algorithms: &[&str]) -> NetconfConnector {
    let netconf =
        NetconfHabits { confirm, timer_granularity: Duration::from_secs(1), model: Model::OpenConfig };
    let ssh = SshHabits {
        sessions: None,
        idle_limit: Duration::from_secs(60),
        keepalive: Some(Duration::from_secs(1)),
        algorithms: ssh_algorithms.iter().map(|name| name.to_string()).collect(),
        none_first: false,
    };
    let openconfig = OpenConfigHabits {
        network_instance: None,
        interface_type: "iana-if-type:ethernetCsmacd".to_owned(),
        creates_interfaces: true,
        native_in_trunk_vlans: false,
        spanning_tree: false,
    };
    let profile = Profile {
        name: "test".to_owned(),
        description: String::new(),
        aliases: Default::default(),
        port_names: Vec::new(),
        port_names_ignore_case: false,
        openconfig,
        ssh,
        speaks: Speaks::Netconf(netconf.clone()),
        others: Vec::new(),
    };
    let device = Arc::new(Device { endpoint, save: Save::Never, ..Device::stand_in(Arc::new(profile)) });
    NetconfConnector::new(device, netconf)
}

fn key_of(server: &Netconfd) -> Endpoint {
    let key = std::fs::read_to_string(&server.key).unwrap();
    endpoint(server.port, &server.username, Credential::Key(SecretString::from(key)), &server.known_hosts)
}

async fn session(server: &Netconfd) -> Box<dyn Session> {
    connector(key_of(server), None, &[]).open(soon()).await.unwrap()
}

fn reads(interface: &str) -> ReadSet {
    let path =
        Path::parse(&format!("/openconfig-interfaces:interfaces/interface[name='{interface}']")).unwrap();
    ReadSet { paths: vec![path], schema: Schema::builtin().unwrap() }
}

fn vlan_of(reads: &ReadSet) -> Path {
    let ethernet = reads.paths[0].child("openconfig-if-ethernet:ethernet");
    ethernet.child("openconfig-vlan:switched-vlan").child("config").child("access-vlan")
}

/// An edit that creates an interface.
fn create(interface: &str) -> Payload {
    Payload::Netconf(format!(
        "<interfaces xmlns=\"http://openconfig.net/yang/interfaces\"><interface {NC} nc:operation=\"create\">\
         <name>{interface}</name><config><name>{interface}</name>\
         <type xmlns:t=\"urn:ietf:params:xml:ns:yang:iana-if-type\">t:ethernetCsmacd</type></config>\
         </interface></interfaces>"
    ))
}

/// An edit of one leaf whose containers need not be there.
fn access(interface: &str, vlan: &str) -> Payload {
    Payload::Netconf(format!(
        "<interfaces xmlns=\"http://openconfig.net/yang/interfaces\"><interface><name>{interface}</name>\
         <ethernet xmlns=\"http://openconfig.net/yang/interfaces/ethernet\">\
         <switched-vlan xmlns=\"http://openconfig.net/yang/vlan\"><config>\
         <interface-mode {NC} nc:operation=\"merge\">ACCESS</interface-mode>\
         <access-vlan {NC} nc:operation=\"merge\">{vlan}</access-vlan>\
         </config></switched-vlan></ethernet></interface></interfaces>"
    ))
}

fn timed(seconds: u64, persist_id: &str) -> Commit {
    Commit::Timed { timeout: Duration::from_secs(seconds), persist_id: persist_id.to_owned() }
}

/// Makes an interface for good.
async fn prepare(session: &mut dyn Session, reads: &ReadSet, interface: &str) {
    session.begin(reads, soon()).await.unwrap();
    session.stage(&create(interface), "id-1", soon()).await.unwrap();
    let committed = session.commit(&Commit::Plain, reads, soon()).await;
    committed.commit.unwrap();
    assert!(committed.running.unwrap().has_entry(&reads.paths[0]));
    session.release(true, soon()).await.unwrap();
}

fn tag(fault: &Fault) -> &str {
    match fault {
        Fault::Rejected(errors) => &errors[0].tag,
        fault => panic!("{fault}"),
    }
}

#[tokio::test]
async fn four_flights_on_netconfd() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let server = Netconfd::start(Shape::Candidate).await;
    let (reads, mut session) = (reads("eth1"), session(&server).await);
    assert_eq!(session.describe(), "netconf (candidate, confirm by persist-id)");
    prepare(&mut *session, &reads, "eth1").await;

    let before = session.begin(&reads, soon()).await.unwrap();
    assert!(before.has_entry(&reads.paths[0]) && before.value(&vlan_of(&reads)).is_none());
    session.stage(&access("eth1", "100"), "id-1", soon()).await.unwrap();
    let committed = session.commit(&timed(60, "id-1"), &reads, soon()).await;
    committed.commit.unwrap();
    assert_eq!(committed.running.unwrap().leaf(&vlan_of(&reads)), Some("100"));
    session.confirm("id-1", true, soon()).await.unwrap();
    assert!(server.running_xml().await.contains("access-vlan>100<"));

    // Nothing is held any more.
    let mut other = server.connect().await;
    other.ok("<lock><target><candidate/></target></lock>").await;
    session.close().await;
    assert!(!session.is_open());
}

#[tokio::test]
async fn another_session_cancels_or_confirms_by_id() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let server = Netconfd::start(Shape::Candidate).await;
    let (reads, mut first) = (reads("eth1"), session(&server).await);
    prepare(&mut *first, &reads, "eth1").await;
    for (vlan, id) in [("100", "id-1"), ("200", "id-2")] {
        let mut owner = session(&server).await;
        owner.begin(&reads, soon()).await.unwrap();
        owner.stage(&access("eth1", vlan), "id-1", soon()).await.unwrap();
        owner.commit(&timed(60, id), &reads, soon()).await.commit.unwrap();
        // As if its process had died.
        drop(owner);
        assert!(first.is_open());
        let after = if id == "id-1" {
            assert!(matches!(first.cancel("other", soon()).await, Err(Fault::Rejected(_))));
            first.cancel(id, soon()).await.unwrap();
            None
        } else {
            // Refused until the server has noticed that the owner, who held a lock, is gone.
            let until = soon();
            while let Err(fault) = first.confirm(id, true, until).await {
                assert_eq!(tag(&fault), "in-use");
            }
            Some(vlan)
        };
        let running = first.read(Store::Running, &reads, soon()).await.unwrap();
        assert_eq!(running.leaf(&vlan_of(&reads)), after);
    }
}

#[tokio::test]
async fn a_session_bound_commit_goes_with_its_session() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let server = Netconfd::start(Shape::Candidate).await;
    let (reads, mut first) = (reads("eth1"), session(&server).await);
    prepare(&mut *first, &reads, "eth1").await;
    let bound = connector(key_of(&server), Some(Timed::SessionBound), &[]);
    for goodbye in [true, false] {
        let mut owner = bound.open(soon()).await.unwrap();
        owner.begin(&reads, soon()).await.unwrap();
        owner.stage(&access("eth1", "100"), "id-1", soon()).await.unwrap();
        let committed = owner.commit(&timed(60, "unused"), &reads, soon()).await;
        assert_eq!(committed.running.unwrap().leaf(&vlan_of(&reads)), Some("100"));
        if goodbye {
            owner.close().await;
        }
        drop(owner);
        // The server rolls back once it has noticed.
        let until = soon();
        while first.read(Store::Running, &reads, until).await.unwrap().leaf(&vlan_of(&reads)).is_some() {}
    }

    let mut owner = bound.open(soon()).await.unwrap();
    owner.begin(&reads, soon()).await.unwrap();
    owner.stage(&access("eth1", "100"), "id-1", soon()).await.unwrap();
    owner.commit(&timed(60, "unused"), &reads, soon()).await.commit.unwrap();
    owner.confirm("unused", true, soon()).await.unwrap();
    owner.close().await;
    let running = first.read(Store::Running, &reads, soon()).await.unwrap();
    assert_eq!(running.leaf(&vlan_of(&reads)), Some("100"));
}

#[tokio::test]
async fn a_lock_or_a_dirty_candidate_of_someone_else_is_left_alone() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let weak = Netconfd::start(Shape::RunningStartup).await;
    let server = Netconfd::start(Shape::Candidate).await;
    let reads = reads("eth1");
    for (server, store, others) in
        [(&weak, "startup", &["running"][..]), (&weak, "running", &["startup"]), (&server, "candidate", &[])]
    {
        let (mut session, mut other) = (session(server).await, server.connect().await);
        other.ok(&format!("<lock><target><{store}/></target></lock>")).await;
        let Err(Fault::Rejected(errors)) = session.begin(&reads, soon()).await else {
            panic!("locked twice")
        };
        assert_eq!(errors[0].tag, "lock-denied");
        let info = errors[0].info.as_deref().unwrap();
        assert!(info.contains("session-id>"), "{info}");
        // What was granted is free again.
        for free in others {
            other.ok(&format!("<lock><target><{free}/></target></lock>")).await;
            other.ok(&format!("<unlock><target><{free}/></target></unlock>")).await;
        }
        other.ok(&format!("<unlock><target><{store}/></target></unlock>")).await;
    }
    let (mut session, mut other) = (session(&server).await, server.connect().await);
    let Payload::Netconf(config) = create("eth9") else { panic!("another language") };
    other.edit("candidate", &config).await;
    assert_eq!(tag(&session.begin(&reads, soon()).await.unwrap_err()), "resource-denied");
    session.release(true, soon()).await.unwrap();
    assert!(other.get_config("candidate", "").await.contains("eth9"));
    other.ok("<discard-changes/>").await;
    session.begin(&reads, soon()).await.unwrap();
    assert_eq!(
        tag(&session.stage(&access("eth1", "5000"), "id-1", soon()).await.unwrap_err()),
        "invalid-value"
    );
    session.release(true, soon()).await.unwrap();
    assert!(session.is_open());
}

#[tokio::test]
async fn without_a_candidate_running_is_edited_and_saved() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let server = Netconfd::start(Shape::RunningStartup).await;
    let (reads, mut session) = (reads("eth1"), session(&server).await);
    assert!(session.promises().startup && !session.promises().candidate);
    prepare(&mut *session, &reads, "eth1").await;
    session.begin(&reads, soon()).await.unwrap();
    session.stage(&access("eth1", "100"), "id-1", soon()).await.unwrap();
    assert!(!server.running_xml().await.contains("access-vlan"));
    let committed = session.commit(&Commit::Plain, &reads, soon()).await;
    committed.commit.unwrap();
    assert_eq!(committed.running.unwrap().leaf(&vlan_of(&reads)), Some("100"));
    let startup = session.read(Store::Startup, &reads, soon()).await.unwrap();
    assert_eq!(startup.leaf(&vlan_of(&reads)), None);
    session.save(soon()).await.unwrap();
    let startup = session.read(Store::Startup, &reads, soon()).await.unwrap();
    assert_eq!(startup.leaf(&vlan_of(&reads)), Some("100"));
    session.release(true, soon()).await.unwrap();
    let mut other = server.connect().await;
    for store in ["running", "startup"] {
        other.ok(&format!("<lock><target><{store}/></target></lock>")).await;
    }
}

#[tokio::test]
async fn a_lost_reply_and_a_dead_server() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let rules = vec![Rule::new("confirmed-commit", Action::DropReply)];
    let (mut server, _proxy) = Netconfd::start_with_proxy(Shape::Candidate, rules).await;
    let (reads, mut session) = (reads("eth1"), session(&server).await);
    prepare(&mut *session, &reads, "eth1").await;
    session.begin(&reads, soon()).await.unwrap();
    session.stage(&access("eth1", "100"), "id-1", soon()).await.unwrap();
    let committed = session.commit(&timed(60, "id-1"), &reads, soon()).await;
    assert!(matches!(committed.commit, Err(Fault::Lost(Cause::Closed(_)))), "{committed:?}");
    assert!(!session.is_open());

    let fresh = self::session(&server).await;
    server.kill_server();
    while fresh.is_open() {
        tokio::task::yield_now().await;
    }
    let refused = connector(key_of(&server), None, &[]).open(soon()).await.err().unwrap();
    assert!(matches!(refused, Fault::NotSent(Cause::Absent { .. })), "{refused}");
}

#[tokio::test]
async fn many_sessions_open_at_once() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let server = Netconfd::start(Shape::Candidate).await;
    let reads = reads("eth1");
    let open = async || {
        let mut session = session(&server).await;
        session.read(Store::Running, &reads, soon()).await.unwrap();
        session.close().await;
    };
    join_all((0..16).map(|_| open())).await;
}

#[tokio::test]
async fn a_wrong_host_key_is_told_nothing() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let server = Netconfd::start(Shape::Candidate).await;
    let pinned = std::fs::read_to_string(server.dir().join("hostkey.pub")).unwrap();
    let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ".to_owned();
    let empty = server.dir().join("empty");
    std::fs::write(&empty, "").unwrap();
    let open = async |host_key| {
        let endpoint = Endpoint { host_key, ..key_of(&server) };
        connector(endpoint, None, &[]).open(soon()).await.map(drop)
    };
    open(HostKey::Pinned(pinned)).await.unwrap();
    for host_key in
        [HostKey::Pinned(other), HostKey::KnownHosts(empty), HostKey::KnownHosts("/nowhere".into())]
    {
        let fault = open(host_key).await.unwrap_err();
        assert!(matches!(fault, Fault::NotSent(Cause::HostKey { .. })), "{fault}");
    }
    let log = std::fs::read_to_string(server.dir().join("sshd.log")).unwrap();
    assert_eq!(log.matches("Accepted publickey").count(), 1, "{log}");

    // A key that the server does not know.
    let stranger = std::fs::read_to_string(server.dir().join("hostkey")).unwrap();
    let endpoint = Endpoint { credential: Credential::Key(SecretString::from(stranger)), ..key_of(&server) };
    let fault = connector(endpoint, None, &[]).open(soon()).await.err().unwrap();
    let Fault::NotSent(Cause::Login { offered, .. }) = &fault else { panic!("{fault}") };
    assert_eq!(offered, "it offers publickey");
}

#[tokio::test]
async fn an_rsa_key_logs_in_with_sha2() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let server = Netconfd::start(Shape::Candidate).await;
    let key = server.dir().join("id_rsa");
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "rsa", "-N", "", "-f"]).arg(&key).status().unwrap();
    assert!(made.success());
    std::fs::copy(key.with_extension("pub"), server.dir().join("id_ed25519.pub")).unwrap();
    let text = SecretString::from(std::fs::read_to_string(&key).unwrap());
    let endpoint = Endpoint { credential: Credential::Key(text), ..key_of(&server) };
    connector(endpoint, None, &[]).open(soon()).await.unwrap().close().await;
}

#[tokio::test]
async fn a_peer_that_goes_dead_is_noticed_while_idle() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let server = Netconfd::start(Shape::Candidate).await;
    // Passes everything on until it is cut; then the connection stays and nothing comes any more.
    let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut endpoint = key_of(&server);
    endpoint.port = relay.local_addr().unwrap().port();
    let known_hosts = std::fs::read_to_string(&server.known_hosts).unwrap();
    let (_, host_key) = known_hosts.trim().split_once(' ').unwrap();
    endpoint.host_key = HostKey::Pinned(host_key.to_owned());
    let (cut, is_cut) = tokio::sync::oneshot::channel::<()>();
    let to = server.port;
    tokio::spawn(async move {
        let (mut ours, _) = relay.accept().await.unwrap();
        let mut theirs = tokio::net::TcpStream::connect(("127.0.0.1", to)).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut ours, &mut theirs) => {}
            _ = is_cut => std::future::pending().await,
        }
    });
    let session = connector(endpoint, None, &[]).open(soon()).await.unwrap();
    assert!(session.is_open());
    cut.send(()).unwrap();
    let patience = soon();
    while session.is_open() {
        assert!(Instant::now() < patience, "nobody noticed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_left_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let credential = Credential::Password(SecretString::from("secret"));
    let pinned = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    let endpoint = Endpoint {
        host_key: HostKey::Pinned(pinned.to_owned()),
        ..endpoint(port, "operator", credential, FilePath::new("/nowhere"))
    };
    let deadline = Instant::now() + Duration::from_millis(200);
    let connector = connector(endpoint, None, &[]);
    let (opened, said) = tokio::join!(connector.open(deadline), async {
        let (mut socket, _) = silent.accept().await.unwrap();
        socket.write_all(b"SSH-2.0-silent\r\n").await.unwrap();
        let mut said = Vec::new();
        // It ends: the connection is not left behind.
        socket.read_to_end(&mut said).await.unwrap();
        String::from_utf8_lossy(&said).into_owned()
    });
    let fault = opened.err().unwrap();
    assert_eq!(fault, Fault::NotSent(Cause::Deadline("exchanging SSH keys")));
    assert!(said.starts_with("SSH-2.0-") && !said.contains("secret"), "{said}");
}

#[tokio::test]
async fn passwords_keyboard_interactive_and_old_algorithms() {
    if !require(&[Peer::AsyncSsh]) {
        return;
    }
    let old = ["diffie-hellman-group14-sha1", "ssh-rsa", "aes128-cbc", "hmac-sha1"];
    for (login, aged) in
        [(Login::Password, false), (Login::KeyboardInteractive, false), (Login::KeyboardInteractive, true)]
    {
        let server = AsyncSsh::start(login, aged);
        let open = async |password: &str, algorithms: &[&str]| {
            let credential = Credential::Password(SecretString::from(password));
            let endpoint = endpoint(server.port, &server.username, credential, &server.known_hosts);
            connector(endpoint, None, algorithms).open(soon()).await
        };
        let algorithms = if aged { &old[..] } else { &[] };
        let mut session = open(&server.password, algorithms).await.unwrap();
        assert_eq!(session.describe(), "netconf (candidate, no commit timer)");
        session.read(Store::Running, &reads("eth1"), soon()).await.unwrap();
        session.close().await;
        let fault = open("wrong horse", algorithms).await.err().unwrap();
        assert!(matches!(fault, Fault::NotSent(Cause::Login { .. })), "{fault}");
        assert!(!fault.to_string().contains("horse"), "{fault}");
        if aged {
            let fault = open(&server.password, &[]).await.err().unwrap();
            assert!(fault.to_string().contains("it offers diffie-hellman-group14-sha1"), "{fault}");
        }
    }
}
