//! `mercury call`: what it sends, what it prints, and how it exits.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::peer::{Act, Peer, Seen, result, says};
use super::*;
use crate::peers::mercury_bin;
use crate::service::{Service, Site, attach, detach};

/// How a run ended: its exit code, what it printed, and what it said on stderr.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs `mercury call --url URL ARGUMENTS` with this standard input and environment.
async fn run_with<A: AsRef<OsStr>>(url: &str, args: &[A], input: &str, env: &[(&str, &Path)]) -> Ran {
    let mut command = Command::new(mercury_bin());
    command.args(["call", "--url", url]).args(args).envs(env.iter().copied()).kill_on_drop(true);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // One that does not read its input may be gone already.
    stdin.write_all(input.as_bytes()).await.ok();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

async fn run(url: &str, args: &[&str]) -> Ran {
    run_with(url, args, "", &[]).await
}

fn url(service: &Service) -> String {
    service.process.address.to_string()
}

#[tokio::test]
async fn a_change_is_made_shown_and_undone() {
    let (site, switch) = Site::simulated().await;
    let service = site.rpc("unix = \"mercury.sock\"\nauth = \"none\"\n").serve().await;
    let url = url(&service);
    assert!(url.starts_with("unix:/"), "{url}");
    let port = attach("eth1", 100, &[101]);
    let parameters = ["port", "segment"]
        .map(|name| format!("{name}={}", port[name]))
        .map(|text| ["--param".to_owned(), text]);
    let flags: Vec<String> = parameters.into_iter().flatten().collect();

    let dry: Vec<&str> =
        ["attach_port", "--dry-run"].into_iter().chain(flags.iter().map(String::as_str)).collect();
    let planned = run(&url, &dry).await;
    assert_eq!((planned.code, planned.err.as_str()), (Some(0), ""));
    assert!(planned.out.starts_with("outcome: planned\nleaf1 port eth1\n  before "), "{}", planned.out);
    assert_eq!(switch.commits(), 0);

    let real = run(&url, &[&["attach_port"], &dry[2..]].concat()).await;
    assert_eq!((real.code, real.err.as_str()), (Some(0), ""));
    assert!(real.out.starts_with("outcome: applied\n"), "{}", real.out);
    for shown in ["  after      TRUNK native 100", "  phases     queue=", "\n  diff\n", "\n  inverse\n    <"]
    {
        assert!(real.out.contains(shown), "{shown} is not in {}", real.out);
    }
    // In the order in which they ran, which is not the alphabet's.
    assert!(real.out.find(" lock=").unwrap() < real.out.find(" commit=").unwrap(), "{}", real.out);
    assert!(switch.running_xml().contains("<native-vlan>100</native-vlan>"));

    let input = detach("eth1").to_string();
    let undone = run_with(&url, &["detach_port", "--json", "--params", "-"], &input, &[]).await;
    assert_eq!((undone.code, undone.out.lines().count()), (Some(0), 1));
    let answer: Value = serde_json::from_str(&undone.out).unwrap();
    assert_eq!(answer["outcome"], "applied");
    assert!(!switch.running_xml().contains("native-vlan"));
}

#[tokio::test]
async fn refusals_exit_with_1_and_say_what_the_service_says() {
    let (site, switch) = Site::simulated().await;
    let service = site.serve().await;
    let url = url(&service);
    let flat = |vlan| {
        let mut args = vec!["update_port", "--param", "switch_id=leaf1", "--param", "port_name=eth1"];
        args.extend(["--param", "mode=access", "--param", "description=d", "--param", vlan]);
        args
    };
    let good = run(&url, &flat("native_vlan=100")).await;
    assert_eq!(good.code, Some(0), "{}", good.err);
    assert!(good.out.contains("\n  \"status\": \"configured\"") && switch.commits() == 1, "{}", good.out);
    for (vlan, code, says) in [
        ("native_vlan=200", 400, "mercury: error 400 InvalidParameterValue: native_vlan: "),
        ("native_vlan=x", 400, "mercury: error 400 InvalidParameterValue: native_vlan: "),
        ("vlan=100", -32602, "mercury: error -32602: update_port: "),
    ] {
        let bad = run(&url, &flat(vlan)).await;
        assert_eq!((bad.code, bad.out.as_str()), (Some(1), ""));
        assert!(bad.err.starts_with(says), "{}", bad.err);
        let bad = run(&url, &[flat(vlan), vec!["--json"]].concat()).await;
        let failure: Value = serde_json::from_str(&bad.out).unwrap();
        assert_eq!((bad.code, &failure["code"]), (Some(1), &json!(code)));
    }
    assert_eq!(switch.commits(), 1);
}

#[tokio::test]
async fn what_is_not_known_exits_with_3() {
    let lost = || vec![vec![Act::Say(Box::new(|_| String::new())), Act::Close]];
    let unknown = r#"{"jsonrpc": "2.0", "id": "req-1", "error": {"code": 500, "message": "m",
        "data": {"class": "ironic.common.exception.NetworkError", "outcome": "unknown"}}}"#;
    let context = ["--param", r#"context={"request_id": "req-1"}"#];
    for (acts, says) in [
        (lost(), "NOT KNOWN"),
        (vec![vec![Act::Hang]], "no answer in time"),
        (vec![vec![says("200 OK", "", "{}")]], "NOT KNOWN"),
        (vec![vec![says("502 Bad Gateway", "", "")]], "HTTP 502: Bad Gateway"),
        (vec![vec![says("200 OK", "", unknown)]], "error 500 NetworkError: m"),
    ] {
        let peer = Peer::start(acts).await;
        let ran = run(&peer.url(), &[&["reset_port", "--timeout", "500ms"], &context[..]].concat()).await;
        assert_eq!((ran.code, ran.out.as_str()), (Some(3), ""), "{}", ran.err);
        assert!(ran.err.contains(says), "{}", ran.err);
    }
    let peer = Peer::start(vec![vec![says("403 Forbidden", "", "")]]).await;
    let forbidden = run(&peer.url(), &["reset_port"]).await;
    assert_eq!(forbidden.code, Some(1), "{}", forbidden.err);
    let nobody = run("unix:/nonexistent", &["reset_port"]).await;
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.err.starts_with("mercury: unix:/nonexistent: not sent: "), "{}", nobody.err);
}

#[tokio::test]
async fn passwords_come_from_files_the_environment_and_systemd() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let path = file.to_str().unwrap();
    for (args, env) in [
        (["--password-file", path], None),
        (["--password-env", "SECRET"], Some(("SECRET", Path::new(PASSWORD)))),
        (["--password-credential", "password"], Some(("CREDENTIALS_DIRECTORY", dir.path()))),
    ] {
        let peer = Peer::start(vec![vec![result(json!("ok"))]]).await;
        let args = [&["reset_port", "--user", "ironic"], &args[..]].concat();
        let ran = run_with(&peer.url(), &args, "", env.as_slice()).await;
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert_eq!(peer.seen()[0].header("authorization"), "Basic aXJvbmljOmNvcnJlY3QgaG9yc2U=");
    }
    let challenge = || {
        says(
            "401 Unauthorized",
            "www-authenticate: Digest realm=\"r\", qop=\"auth\", algorithm=SHA-256, nonce=\"n\"\r\n",
            "",
        )
    };
    let peer = Peer::start(vec![vec![challenge(), result(json!("ok"))], vec![challenge()]]).await;
    let ran =
        run(&peer.url(), &["reset_port", "--user", "ironic", "--digest", "--password-file", path]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(peer.seen()[1].header("authorization").starts_with("Digest username=\"ironic\", realm=\"r\""));
    let ran = run(&peer.url(), &["reset_port", "--user", "ironic", "--password-file", path]).await;
    let why = "HTTP 401: it takes Digest, and Basic was chosen; try --digest";
    assert!(ran.code == Some(1) && ran.err.contains(why), "{}", ran.err);
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_before_anything_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let open = dir.path().join("open");
    fs::write(&open, PASSWORD).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let list = dir.path().join("list.json");
    fs::write(&list, "[1]").unwrap();
    let (open, list) = (open.to_str().unwrap(), list.to_str().unwrap());
    for (args, says) in [
        (&["m", "--user", "u"][..], "--password-file"),
        (&["m", "--password-env", "V"], "--user"),
        (&["m", "--digest"], "--user"),
        (&["m", "--cert", "f"], "--key"),
        (&["m", "--user", "u", "--password-file", open, "--password-env", "V"], "cannot be used with"),
        (&["m", "--user", "u", "--password-file", open], "chmod 600"),
        (&["m", "--user", "u", "--password-env", "NOT_SET"], "NOT_SET: is not set"),
        (&["m", "--user", "u", "--password-credential", "c"], "CREDENTIALS_DIRECTORY is not set"),
        (&["m", "--param", "x"], "NAME=VALUE"),
        (&["m", "--param", "x=1", "--param", "x=2"], "parameter x is given twice"),
        (&["m", "--dry-run", "--param", "dry_run=false"], "parameter dry_run is given twice"),
        (&["m", "--param", "context=1"], "params.context: it must be a JSON object"),
        (&["m", "--params", list], "not a JSON object"),
        (&["m", "--params", "/nonexistent"], "No such file"),
        (&["m", "--timeout", "120"], "expected a time"),
        (&["m", "--ca", open], "https:// only"),
        (&[], "METHOD"),
    ] {
        let peer = Peer::start(vec![vec![result(json!("ok"))]]).await;
        let ran = run(&peer.url(), args).await;
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{args:?}: {}", ran.err);
        assert!(ran.err.contains(says), "{args:?}: {}", ran.err);
        assert_eq!(peer.seen().len(), 0);
    }
    let ran = run("http://u:secret@h", &["m"]).await;
    assert!(ran.code == Some(1) && ran.err.contains("no user name or password"), "{}", ran.err);
}

/// A service that is none, or a switch, must not rewrite what stands on an operator's terminal.
#[tokio::test]
async fn a_terminal_is_shown_no_control_characters() {
    let evil = "\u{1b}[2J\u{9b}1Aoutcome: applied\r";
    let told = move |seen: &Seen| {
        let body =
            json!({ "jsonrpc": "2.0", "id": seen.body["id"], "error": { "code": 400, "message": evil } });
        let body = body.to_string();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let answers = vec![result(json!(evil)), Act::Say(Box::new(told))];
    let peer = Peer::start(answers.into_iter().map(|act| vec![act]).collect()).await;
    for _ in 0..2 {
        let ran = run(&peer.url(), &["get_switches"]).await;
        let shown = ran.out + &ran.err;
        assert!(shown.contains("outcome: applied"), "{shown:?}");
        assert!(!shown.trim_end().chars().any(char::is_control), "{shown:?}");
    }
}
