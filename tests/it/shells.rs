//! Commands on servers that no one here wrote.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use mercury::device::{
    Credential, Device, Endpoint, HostKey, LoginQuestions, Profiles, Question, Setup, SshHabits,
    TerminalHabits,
};
use mercury::path::Path;
use mercury::schema::Schema;
use mercury::transport::cli::{ExecShell, Output, Shell as _, Terminal};
use mercury::transport::ssh::{self, Connection};
use mercury::transport::{Cause, Fault, ReadSet, Store, connector};
use regex::Regex;
use secrecy::SecretString;
use tokio::time::Instant;

use crate::peers::{AsyncSsh, Login, OpenSsh, Peer, require};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn endpoint(server: &OpenSsh) -> Endpoint {
    let key = std::fs::read_to_string(&server.key).unwrap();
    Endpoint {
        address: "127.0.0.1".to_owned(),
        port: server.port,
        username: server.username.clone(),
        credential: Credential::Key(SecretString::from(key)),
        credential_from: String::new(),
        enable_secret: None,
        host_key: HostKey::KnownHosts(server.known_hosts.clone()),
        cli_port: None,
        gnmi: None,
    }
}

async fn connection(server: &OpenSsh) -> Connection {
    ssh::connect(&endpoint(server), &SshHabits::default(), soon()).await.unwrap()
}

/// Where the operator of `server` is, with this password.
fn operator(server: &AsyncSsh, password: &str) -> Endpoint {
    Endpoint {
        address: "127.0.0.1".to_owned(),
        port: server.port,
        username: server.username.clone(),
        credential: Credential::Password(SecretString::from(password)),
        credential_from: String::new(),
        enable_secret: None,
        host_key: HostKey::KnownHosts(server.known_hosts.clone()),
        cli_port: None,
        gnmi: None,
    }
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
        let endpoint = operator(&server, &server.password);
        let algorithms = old.iter().filter(|_| aged).map(|name| name.to_string()).collect();
        let habits = SshHabits { algorithms, ..SshHabits::default() };
        let connection = ssh::connect(&endpoint, &habits, soon()).await.unwrap();
        let mut shell = ExecShell::over(connection);
        // It knows none but its subsystem.
        let output = shell.run("show version", soon()).await.unwrap();
        assert_eq!((output.text.as_str(), output.status), ("", Some(1)));
    }
}

#[tokio::test]
async fn a_switch_that_asks_on_its_terminal_who_logs_in() {
    if !require(&[Peer::AsyncSsh]) {
        return;
    }
    let server = AsyncSsh::start(Login::Terminal, false);
    let open = async |endpoint: &Endpoint, none_first: bool| {
        let ssh = SshHabits { none_first, ..SshHabits::default() };
        let connection = ssh::connect(endpoint, &ssh, soon()).await?;
        let stream = connection.shell(511, Terminal::HEIGHT, soon()).await?;
        let questions =
            LoginQuestions { user: regex(r"^User Name:\s*$"), password: regex(r"^Password:\s*$") };
        let login = none_first.then_some(questions);
        let habits = Arc::new(TerminalHabits { login, ..habits(&["terminal datadump"]) });
        let refused = |output: &Output| output.text.starts_with('%');
        let deadline = Instant::now() + Duration::from_secs(if none_first { 20 } else { 1 });
        Terminal::open(stream, habits, endpoint, &refused, deadline).await
    };
    let mut shell = open(&operator(&server, &server.password), true).await.unwrap();
    assert_eq!(shell.prompt(), "console#");
    let output = shell.run("show version", soon()).await.unwrap();
    assert_eq!(output.text.trim(), "SW version    2.0.0.46");
    assert_eq!(shell.run("show x", soon()).await.unwrap().text.trim(), "% Unrecognized command");
    shell.close().await;

    let wrong = open(&operator(&server, "wrong horse"), true).await.err().unwrap();
    let Cause::Login { user, offered, .. } = &wrong else { panic!("{wrong}") };
    assert_eq!(user, "operator");
    assert_eq!(offered, "its terminal asks `User Name:` again, and said: authentication failed");
    assert!(!format!("{wrong} {wrong:?}").contains("horse"), "{wrong:?}");

    // Nothing is told where the profile does not say that it is asked for.
    let untold = open(&operator(&server, &server.password), false).await.err().unwrap();
    assert_eq!(untold, Cause::NoPrompt("User Name:".to_owned()));

    // Whoever it lets in, it is the one whose key is known, or nobody's.
    let stranger = AsyncSsh::start(Login::Terminal, false);
    let endpoint = Endpoint { port: stranger.port, ..operator(&server, &server.password) };
    let refused = open(&endpoint, true).await.err().unwrap();
    assert!(matches!(refused, Cause::HostKey { .. }), "{refused}");
    // One that does not let everybody in is told the password as ever.
    let server = AsyncSsh::start(Login::Password, false);
    let ssh = SshHabits { none_first: true, ..SshHabits::default() };
    ssh::connect(&operator(&server, &server.password), &ssh, soon()).await.unwrap();
    let wrong = ssh::connect(&operator(&server, "wrong horse"), &ssh, soon()).await.err().unwrap();
    assert!(matches!(wrong, Cause::Login { .. }), "{wrong}");
}

#[tokio::test]
async fn a_powerconnect_is_read_behind_its_login() {
    if !require(&[Peer::AsyncSsh]) {
        return;
    }
    let server = AsyncSsh::start(Login::Terminal, false);
    let profile = Profiles::default().get("dell_powerconnect").unwrap();
    let endpoint = operator(&server, &server.password);
    let device = Arc::new(Device { endpoint, ..Device::stand_in(profile) });
    let mut session = connector(&device).open(soon()).await.unwrap();
    let port = Path::parse("/openconfig-interfaces:interfaces/interface[name='g2']").unwrap();
    let reads = ReadSet { paths: vec![port.clone()], schema: Schema::builtin().unwrap() };
    let slice = session.read(Store::Running, &reads, soon()).await.unwrap();
    let vlans = port.child("openconfig-if-ethernet:ethernet").child("openconfig-vlan:switched-vlan");
    assert_eq!(slice.leaf(&vlans.child("config").child("access-vlan")), Some("7"));
    session.close().await;

    let endpoint = operator(&server, "wrong horse");
    let device = Arc::new(Device { endpoint, ..Device::clone(&device) });
    let fault = connector(&device).open(soon()).await.err().unwrap();
    assert!(matches!(&fault, Fault::NotSent(Cause::Login { .. })), "{fault}");
}

/// What makes a switch of bash.
const SWITCH: &str = r#"
PS1='switch> '
enable() {
    read -r -s -p 'Password: ' secret; echo
    if [ "$secret" = hunter2 ]; then PS1='switch# '; else echo '% Bad secret'; fi
}
configure() { PS1='switch(config)# '; }
end() { PS1='switch# '; }
copy() { read -r -p 'Destination filename [startup-config]? ' name; echo "[OK] $name"; }
"#;

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap()
}

fn habits(setup: &[&str]) -> TerminalHabits {
    let setup = setup.iter().map(|command| Setup { command: command.to_string(), optional: false });
    TerminalHabits {
        prompt: regex(r"^[\w.-]+(\([^)]*\))?[>#]\s*$"),
        above: None,
        privileged: Some(regex(r"#\s*$")),
        configuring: Some(regex(r"\(config[^)]*\)#\s*$")),
        enable: Some("enable".to_owned()),
        secret_question: Some(regex(r"^[Pp]assword:\s*$")),
        login: None,
        setup: setup.collect(),
        configure: Some("configure terminal".to_owned()),
        leave: Some("end".to_owned()),
        pager: Some(regex("--More--")),
        enter: "\n",
        questions: vec![Question {
            after: regex("^copy "),
            pattern: regex(r"\?\s*$"),
            answer: "mine".to_owned(),
        }],
        width: 511,
    }
}

async fn terminal(
    server: &OpenSsh,
    size: (u32, u32),
    habits: TerminalHabits,
    secret: &str,
) -> Result<Terminal, Cause> {
    let stream = connection(server).await.shell(size.0, size.1, soon()).await?;
    let refused = |output: &Output| output.text.contains("not found");
    let endpoint = Endpoint { enable_secret: Some(SecretString::from(secret)), ..endpoint(server) };
    Terminal::open(stream, Arc::new(habits), &endpoint, &refused, soon()).await
}

#[tokio::test]
async fn a_shell_that_plays_a_switch() {
    if !require(&[Peer::OpenSsh]) {
        return;
    }
    let mut rc = tempfile::NamedTempFile::new().unwrap();
    rc.write_all(SWITCH.as_bytes()).unwrap();
    let server = OpenSsh::running(&format!("bash --rcfile {} -i", rc.path().display())).await;
    let wrong = terminal(&server, (511, 1000), habits(&[]), "hunter3").await.err().unwrap();
    assert!(matches!(&wrong, Cause::Enable(why) if why.contains("% Bad secret")), "{wrong}");
    let wrong = terminal(&server, (511, 1000), habits(&["terminal"]), "hunter2").await.err().unwrap();
    assert!(matches!(&wrong, Cause::Unsupported(why) if why.contains("`terminal` was refused")), "{wrong}");

    let mut shell = terminal(&server, (511, Terminal::HEIGHT), habits(&["true"]), "hunter2").await.unwrap();
    assert_eq!(shell.prompt(), "switch#");
    for n in 0..50 {
        assert_eq!(shell.run(&format!("echo {n}; true"), soon()).await.unwrap().text, format!("{n}\n"));
    }
    shell.enter_configuration(soon()).await.unwrap();
    assert_eq!((shell.prompt(), shell.is_configuring()), ("switch(config)#", true));
    shell.leave_configuration(soon()).await.unwrap();
    let copied = shell.run("copy running-config startup-config", soon()).await.unwrap();
    assert_eq!(copied.text, "Destination filename [startup-config]? mine\n[OK] mine\n");
    let lines = shell.run("yes interface | head -300000", soon()).await.unwrap();
    assert!(lines.text.lines().count() == 300_000 && lines.text.lines().all(|line| line == "interface"));
    let long = "x".repeat(400);
    assert_eq!(shell.run(&format!("echo {long}"), soon()).await.unwrap().text, format!("{long}\n"));
    let fault = shell.run("read -p 'Really? '", Instant::now() + Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(fault, Fault::Lost(Cause::NoPrompt("Really? ".to_owned())));
    assert!(!shell.is_open());
}

#[tokio::test]
async fn a_narrow_terminal_and_its_pager() {
    if !require(&[Peer::OpenSsh]) {
        return;
    }
    let server = OpenSsh::running("env PS1='switch# ' bash --norc -i").await;
    let mut shell = terminal(&server, (60, 24), habits(&[]), "").await.unwrap();
    for length in 40..70 {
        let long = "x".repeat(length);
        assert_eq!(
            shell.run(&format!("echo {long} end"), soon()).await.unwrap().text,
            format!("{long} end\n")
        );
    }
    // Not `more`: whether it waits for a key at the end as well differs between versions.
    let pages =
        "for page in 1 2 3; do seq $page 9; read -rsn1 -p --More--; printf '\\r        \\r'; done; echo end";
    let expected: String = (1..=9).chain(2..=9).chain(3..=9).map(|n| format!("{n}\n")).collect();
    assert_eq!(shell.run(pages, soon()).await.unwrap().text, format!("{expected}end\n"));
    let fault = shell.run("echo half; kill -9 $$", soon()).await.unwrap_err();
    assert!(matches!(fault, Fault::Lost(Cause::Closed(_))), "{fault}");
}

#[tokio::test]
async fn shells_without_an_editor_and_without_echo() {
    if !require(&[Peer::OpenSsh]) {
        return;
    }
    for program in ["env PS1='switch# ' dash -i", "stty -echo; env PS1='switch# ' dash -i"] {
        let server = OpenSsh::running(program).await;
        let mut shell = terminal(&server, (80, 24), habits(&["true"]), "").await.unwrap();
        for n in 0..20 {
            assert_eq!(shell.run(&format!("echo {n}"), soon()).await.unwrap().text, format!("{n}\n"));
            assert_eq!(shell.run("true", soon()).await.unwrap().text, "");
        }
        let long = "x".repeat(300);
        assert_eq!(shell.run(&format!("echo {long}"), soon()).await.unwrap().text, format!("{long}\n"));
        shell.close().await;
        assert!(!shell.is_open());
    }
}
