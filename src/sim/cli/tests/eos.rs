use std::time::Duration;

use tokio::time::Instant;

use super::Talk;
use crate::sim::cli::CliSpec;

const PORT: &str = "Ethernet1";
const EDITS: [&str; 3] = ["interface et1", "switchport access vlan 100", "vlan 100"];

fn eos() -> Talk {
    let mut eos = Talk::new(&CliSpec::new("arista_eos"));
    assert_eq!(eos.enter("enable"), (String::new(), "switch#".to_owned()));
    eos
}

#[test]
fn prompts_and_words() {
    let mut eos = eos();
    assert_eq!(eos.enter("terminal width 511").0, "Width set to 511 columns.\n");
    assert_eq!(eos.enter("terminal length 0").0, "Pagination disabled.\n");
    assert_eq!(eos.enter("configure").1, "switch(config)#");
    assert_eq!(eos.enter("interface Ethernet 1").1, "switch(config-if-Et1)#");
    assert_eq!(eos.enter("vlan 10").1, "switch(config-vlan-10)#");
    assert!(eos.running().contains("vlan 10\n"), "at once");
    assert_eq!(eos.enter("vlan 4095").0, "% Invalid input\n");
    assert_eq!(eos.enter("interface Ethernet9").0, "% Invalid input\n");
    assert_eq!(eos.enter("interface").0, "% Incomplete command\n");
    eos.quietly(&["interface Ethernet1", "switchport access vlan 100"]);
    assert!(!eos.running().contains("vlan 10,100"), "a port makes no VLAN");
    assert_eq!(
        eos.enter("show running-config interfaces et1").0,
        "interface Ethernet1\n   switchport access vlan 100\n"
    );
    eos.quietly(&["switchport mode trunk", "switchport trunk native vlan tag"]);
    assert_eq!(
        eos.enter("show vlan").0.lines().nth(2),
        Some("1     default                          active    Et1, Et2, Et3, Et4")
    );
    assert_eq!(eos.enter("copy running-config startup-config").0, "Copy completed successfully.\n");
}

#[test]
fn sessions() {
    let mut eos = eos();
    assert_eq!(eos.enter("configure session mercury1").1, "switch(config-s-mercur)#");
    assert_eq!(eos.enter("interface et1").1, "switch(config-s-mercur-if-Et1)#");
    eos.quietly(&EDITS);
    assert_eq!(eos.port(PORT), [""; 0]);
    let (diffs, _) = eos.enter("show session-config diffs");
    assert!(
        diffs.starts_with("--- system:/running-config\n+++ session:/mercury1-session-config\n@@ "),
        "{diffs}"
    );
    assert!(
        diffs.contains("\n+   switchport access vlan 100\n") && diffs.contains("\n+vlan 100\n"),
        "{diffs}"
    );
    assert_eq!(eos.enter("end").1, "switch#");
    eos.quietly(&["configure session mercury1", "commit"]);
    assert_eq!(eos.enter("").1, "switch#");
    assert_eq!(eos.port(PORT), ["switchport access vlan 100"]);

    // A session takes the place of all that was changed since it began.
    eos.quietly(&[
        "configure session two",
        "hostname other",
        "end",
        "configure",
        "interface et2",
        "shutdown",
        "end",
    ]);
    eos.quietly(&["configure session two commit"]);
    assert_eq!(eos.port("Ethernet2"), [""; 0]);
    assert_eq!(eos.enter("configure session three").1, "other(config-s-three)#");
    eos.quietly(&["interface et1", "shutdown", "abort"]);
    assert_eq!((eos.port(PORT).len(), eos.enter("").1.as_str()), (1, "other#"));
    assert!(eos.enter("configure session three commit").0.contains("does not exist"));
    for n in 0..5 {
        eos.quietly(&[&format!("configure session s{n}"), "end"]);
    }
    assert!(eos.enter("configure session one-more").0.contains("Maximum number"));
}

#[test]
fn a_timer_undoes_what_nobody_confirms() {
    let begin = || {
        let mut eos = eos();
        eos.quietly(&["configure session one"]);
        eos.quietly(&EDITS);
        eos.quietly(&["commit timer 0:05:00"]);
        assert_eq!(eos.port(PORT), ["switchport access vlan 100"]);
        eos
    };
    let (before, after) = (Duration::from_secs(299), Duration::from_secs(301));
    let mut eos = begin();
    let now = Instant::now();
    eos.device.os.expire(now + before);
    assert_eq!(eos.port(PORT).len(), 1);
    eos.device.os.expire(now + after);
    assert_eq!(eos.port(PORT).len(), 0);

    let mut eos = begin();
    assert!(eos.enter("show configuration sessions").0.contains("one              pendingCommitTimer"));
    eos.quietly(&["configure session two"]);
    assert!(eos.enter("commit").0.contains("session one is pending"));
    eos.quietly(&["end", "configure session one commit"]);
    eos.device.os.expire(Instant::now() + after);
    assert_eq!(eos.port(PORT).len(), 1, "confirmed");

    let mut eos = begin();
    eos.quietly(&["configure session one abort"]);
    assert_eq!(eos.port(PORT).len(), 0, "aborted");

    let spec = CliSpec { timer_scale: 300, ..CliSpec::new("arista_eos") };
    let mut eos = Talk::new(&spec);
    eos.quietly(&["enable", "configure session one", "hostname x", "commit timer 0:05:00"]);
    let left = eos.device.os.deadline().unwrap() - Instant::now();
    assert!(left <= Duration::from_secs(1));
}
