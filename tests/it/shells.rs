//! Commands on servers that no one here wrote.

use std::time::Duration;

use mercury::device::{Credential, Endpoint, HostKey, SshHabits};
use mercury::transport::cli::{ExecShell, Shell as _};
use mercury::transport::ssh::{self, Connection};
use mercury::transport::{Cause, Fault};
use secrecy::SecretString;
use tokio::time::Instant;

use crate::peers::{AsyncSsh, Login, OpenSsh, Peer, require};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

async fn connection(server: &OpenSsh) -> Connection {
    let key = std::fs::read_to_string(&server.key).unwrap();
    let endpoint = Endpoint {
        address: "127.0.0.1".to_owned(),
        port: server.port,
        username: server.username.clone(),
        credential: Credential::Key(SecretString::from(key)),
        enable_secret: None,
        host_key: HostKey::KnownHosts(server.known_hosts.clone()),
    };
    ssh::connect(&endpoint, &SshHabits::default(), soon()).await.unwrap()
}

#[tokio::test]
async fn commands_on_channels_of_their_own() {
    if !require(&[Peer::OpenSsh]) {
        return;
    }
    let server = OpenSsh::start().await;
    let mut shell = ExecShell::over(connection(&server).await);
    let output = shell.run("echo out; echo err >&2; exit 3", soon()).await.unwrap();
    assert_eq!((output.text.as_str(), output.errors.as_str(), output.status), ("out\n", "err\n", Some(3)));
    // More than the ten channels that OpenSSH allows at a time.
    for n in 0..20 {
        let output = shell.run(&format!("echo {n}"), soon()).await.unwrap();
        assert_eq!((output.text, output.status, output.garbled), (format!("{n}\n"), Some(0), false));
    }
    let big = shell.run("head -c 5000000 /dev/zero | tr '\\0' x", soon()).await.unwrap();
    assert!(big.text.len() == 5_000_000 && big.text.bytes().all(|byte| byte == b'x'));
    let garbled = shell.run("printf 'a\\377b'", soon()).await.unwrap();
    assert_eq!((garbled.text.as_str(), garbled.garbled), ("a\u{fffd}b", true));
    for bad in ["echo 1\necho 2", "", "echo \u{3}"] {
        let fault = shell.run(bad, soon()).await.unwrap_err();
        assert!(matches!(fault, Fault::NotSent(Cause::Unsupported(_))), "{fault}");
    }
    let late = shell.run("echo late", Instant::now()).await.unwrap_err();
    assert_eq!(late, Fault::NotSent(Cause::Deadline("running a command")));
    assert!(shell.is_open());
    shell.close().await;
    assert!(!shell.is_open());
    assert!(matches!(shell.run("echo 1", soon()).await, Err(Fault::NotSent(Cause::Closed(_)))));
}

#[tokio::test]
async fn a_command_without_an_end_has_no_answer() {
    if !require(&[Peer::OpenSsh]) {
        return;
    }
    let server = OpenSsh::start().await;
    let lost = async |command: &str, deadline: Instant| {
        let mut shell = ExecShell::over(connection(&server).await);
        let fault = shell.run(command, deadline).await.unwrap_err();
        assert!(!shell.is_open());
        let after = shell.run("echo 1", soon()).await.unwrap_err();
        let Fault::Lost(cause) = fault else { panic!("{fault}") };
        assert_eq!(after, Fault::NotSent(cause.clone()));
        cause
    };
    let cause = lost("echo half; kill -9 $PPID; sleep 30", soon()).await;
    assert!(matches!(&cause, Cause::Closed(why) if why.contains("connection was lost")), "{cause}");
    let cause = lost("echo half; kill -9 $$", soon()).await;
    assert!(matches!(&cause, Cause::Closed(why) if why.contains("by signal KILL")), "{cause}");
    let cause = lost("echo half; sleep 30", Instant::now() + Duration::from_millis(500)).await;
    assert_eq!(cause, Cause::Deadline("running a command"));
    let cause = lost("cat /dev/zero", soon()).await;
    assert!(matches!(&cause, Cause::Malformed(why) if why.contains("more than 16777216 bytes")), "{cause}");

    // Given up by its caller, it is no shell any more.
    let mut shell = ExecShell::over(connection(&server).await);
    let given_up = tokio::time::timeout(Duration::from_millis(200), shell.run("sleep 30", soon())).await;
    assert!(given_up.is_err() && !shell.is_open());
}

#[tokio::test]
async fn commands_with_passwords_and_old_algorithms() {
    if !require(&[Peer::AsyncSsh]) {
        return;
    }
    let old = ["diffie-hellman-group14-sha1", "ssh-rsa", "aes128-cbc", "hmac-sha1"];
    for (login, aged) in [(Login::Password, false), (Login::KeyboardInteractive, true)] {
        let server = AsyncSsh::start(login, aged);
        let endpoint = Endpoint {
            address: "127.0.0.1".to_owned(),
            port: server.port,
            username: server.username.clone(),
            credential: Credential::Password(SecretString::from(server.password.as_str())),
            enable_secret: None,
            host_key: HostKey::KnownHosts(server.known_hosts.clone()),
        };
        let algorithms = old.iter().filter(|_| aged).map(|name| name.to_string()).collect();
        let habits = SshHabits { algorithms, ..SshHabits::default() };
        let connection = ssh::connect(&endpoint, &habits, soon()).await.unwrap();
        let mut shell = ExecShell::over(connection);
        // It knows none but its subsystem.
        let output = shell.run("show version", soon()).await.unwrap();
        assert_eq!((output.text.as_str(), output.status), ("", Some(1)));
    }
}
