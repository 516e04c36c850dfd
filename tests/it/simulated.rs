//! Simulated command lines: used by netmiko, which no one here wrote, and over SSH.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use mercury::sim::cli::{self, CliSpec, CliSwitch};
use secrecy::SecretString;
use tokio::time::timeout;

use crate::peers::{Peer, mercury_bin, python, require, script};

async fn start(system: &str, secret: Option<&str>) -> CliSwitch {
    let spec = CliSpec {
        password: Some(SecretString::from("password")),
        enable_secret: secret.map(SecretString::from),
        ..CliSpec::new(system)
    };
    cli::start(spec, "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

#[test]
fn the_command_simulates_systems() {
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    std::fs::write(&password, "secret\n").unwrap();
    let mut child = Command::new(mercury_bin())
        .args(["simulate", "--system", "cisco_ios", "--system", "name=leaf2,os=arista_eos"])
        .args(["--cli-fault", "leaf2:^commit:drop-after", "--password-file"])
        .arg(&password)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said: Vec<String> = lines.take(2).map(Result::unwrap).collect();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(
        said[0].starts_with("cisco_ios 127.0.0.1:") && said[1].starts_with("leaf2 127.0.0.1:"),
        "{said:?}"
    );
    assert!(said.iter().all(|line| line.contains(" ssh-ed25519 AAAA")));
}

/// What netmiko reads back after a change.
async fn netmiko(switch: &CliSwitch, kind: &str, secret: &str) -> String {
    let port = switch.addr().port().to_string();
    let run = tokio::process::Command::new(python())
        .arg(script("netmiko_vlan.py"))
        .args([kind, &port, "admin", "password", secret])
        .kill_on_drop(true)
        .output();
    let output = timeout(Duration::from_secs(120), run).await.expect("netmiko ends").unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}\n{:#?}", switch.commands());
    out.into_owned()
}

#[tokio::test]
async fn netmiko_configures_ios() {
    if !require(&[Peer::Netmiko]) {
        return;
    }
    let switch = start("cisco_ios", Some("secret")).await;
    let read = netmiko(&switch, "cisco_ios", "secret").await;
    assert!(read.starts_with("prompt Switch>\nprompt Switch#\n"), "{read}");
    let port = "interface GigabitEthernet0/1\n description to a server\n switchport access vlan 100\n switchport mode access\nend\n";
    assert!(read.contains(port), "{read}");
    assert!(read.contains("\n100  blue                             active    Gi0/1"), "{read}");
    assert_eq!(switch.startup_config(), switch.running_config());
    assert!(switch.startup_config().contains("vlan 100\n name blue\n"));
}

#[tokio::test]
async fn netmiko_configures_eos() {
    if !require(&[Peer::Netmiko]) {
        return;
    }
    let switch = start("arista_eos", None).await;
    let read = netmiko(&switch, "arista_eos", "").await;
    assert!(read.starts_with("prompt switch>\nprompt switch#\n"), "{read}");
    let port = "interface Ethernet1\n   description to a server\n   switchport access vlan 100\n";
    assert!(read.contains(port), "{read}");
    assert!(read.contains("\n100   blue                             active    Et1"), "{read}");
    assert_eq!(switch.startup_config(), switch.running_config());
}

#[tokio::test]
async fn netmiko_configures_junos() {
    if !require(&[Peer::Netmiko]) {
        return;
    }
    let switch = start("juniper_junos", None).await;
    let read = netmiko(&switch, "juniper_junos", "").await;
    assert!(read.starts_with("prompt admin@switch>\n"), "{read}");
    assert!(read.contains("[edit vlans]\n+   blue {\n+       vlan-id 100;\n+   }\n"), "{read}");
    let port = "set interfaces ge-0/0/1 unit 0 family ethernet-switching vlan members blue\n";
    assert!(read.contains(port) && switch.running_config().contains(port), "{read}");
    assert!(read.contains("\nblue {\n    vlan-id 100;\n}\n"), "{read}");
    assert!(!switch.pending_commit());
}
