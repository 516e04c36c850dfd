use tokio::time::Instant;

use crate::sim::cli::os::Executed;
use crate::sim::cli::{CliSpec, Device};

fn host() -> Device {
    Device::new(&CliSpec::new("sonic")).unwrap()
}

impl Device {
    fn exec(&mut self, command: &str) -> Executed {
        self.os.exec(command, Instant::now())
    }

    /// What it prints to a command that succeeds.
    fn prints(&mut self, command: &str) -> String {
        let done = self.exec(command);
        assert_eq!((done.status, done.err.as_str()), (0, ""), "{command}");
        done.out
    }
}

#[test]
fn vlans_and_members() {
    let mut host = host();
    assert_eq!(host.prints("sudo config vlan add 100 && sudo config vlan member add -u 100 Ethernet0"), "");
    let done = host.exec("config vlan add 200");
    assert_eq!((done.err.as_str(), done.status), ("Root privileges are required for this operation\n", 1));
    for (command, usage, why) in [
        ("vlan add 100", "vlan add [OPTIONS] <vid>", "Vlan100 already exists."),
        ("vlan add 1", "vlan add [OPTIONS] <vid>", "Vlan1 is default VLAN"),
        ("vlan add 4095", "vlan add [OPTIONS] <vid>", "Invalid VLAN ID 4095 (2-4094)"),
        ("vlan add x", "vlan add [OPTIONS] <vid>", "x is not integer"),
        ("vlan del 200", "vlan del [OPTIONS] <vid>", "Vlan200 does not exist"),
        (
            "vlan del 100",
            "vlan del [OPTIONS] <vid>",
            "VLAN ID 100 can not be removed. First remove all members assigned to this VLAN.",
        ),
        (
            "vlan member add 100 Ethernet0",
            "vlan member add [OPTIONS] <vid> port",
            "Ethernet0 is already a member of Vlan100",
        ),
        ("vlan member add 100 Ethernet1", "vlan member add [OPTIONS] <vid> port", "Ethernet1 does not exist"),
        (
            "vlan member del 100 Ethernet4",
            "vlan member del [OPTIONS] <vid> <port>",
            "Ethernet4 is not a member of Vlan100",
        ),
        (
            "interface shutdown Ethernet1",
            "interface shutdown [OPTIONS] <interface_name>",
            "Interface name is invalid. Please enter a valid interface name!!",
        ),
    ] {
        let done = host.exec(&format!("sudo config {command}"));
        let (named, _) = usage.split_once(" [").unwrap();
        let said = format!("Usage: config {usage}\nTry \"config {named} -h\" for help.\n\nError: {why}\n");
        assert_eq!((done.status, done.err), (2, said), "{command}");
    }
    assert!(host.exec("sudo config frobnicate").err.contains("No such command \"frobnicate\"."));
    host.prints("sudo config vlan add 200");
    assert!(
        host.exec("sudo config vlan member add 200 Ethernet0 -u").err.contains("already untagged member!")
    );
    host.prints("sudo config vlan member add 200 Ethernet0 && sudo config interface shutdown Ethernet0");
    host.prints("sudo config vlan add 300");
    assert_eq!(
        host.prints("show vlan config"),
        "Name       VID  Member     Mode\n\
         -------  -----  ---------  --------\n\
         Vlan100    100  Ethernet0  untagged\n\
         Vlan200    200  Ethernet0  tagged\n\
         Vlan300    300\n"
    );
    assert_eq!(host.exec("frobnicate").status, 127);
    assert!(host.prints("sudo config save -y").starts_with("Running command: "));
    let saved: serde_json::Value = serde_json::from_str(&host.os.startup()).unwrap();
    assert_eq!(saved["PORT"]["Ethernet0"]["admin_status"], "down");
    assert_eq!(saved["VLAN_MEMBER"]["Vlan100|Ethernet0"]["tagging_mode"], "untagged");
    host.prints("sudo config vlan member del all Ethernet0 && sudo config vlan member add all Ethernet4");
    let members = host.prints("show vlan config");
    assert!(members.matches("Ethernet4  tagged").count() == 3 && !members.contains("Ethernet0"), "{members}");
}

#[test]
fn a_port_with_a_mode_takes_no_other_members() {
    let mut host = host();
    host.prints("sudo config vlan add 100");
    for (mode, tagged, untagged) in [
        ("access", "Ethernet0 is in access mode! Tagged Members cannot be added", ""),
        ("routed", "Ethernet0 is in routed mode!", "Ethernet0 is in routed mode!"),
        ("trunk", "", ""),
    ] {
        host.prints(&format!("sudo sonic-db-cli CONFIG_DB HSET 'PORT|Ethernet0' mode {mode}"));
        for (option, why) in [("", tagged), ("-u", untagged)] {
            let done = host.exec(&format!("sudo config vlan member add {option} 100 Ethernet0"));
            assert_eq!(done.status, if why.is_empty() { 0 } else { 2 }, "{mode} {option}");
            assert!(done.err.contains(why), "{}", done.err);
            host.exec("sudo config vlan member del 100 Ethernet0");
        }
    }
}

#[test]
fn interfaces_are_shown_as_they_are_applied() {
    let mut host = host();
    assert_eq!(
        host.prints("show interfaces status Ethernet4"),
        "  Interface    Lanes    Speed    MTU    FEC    Alias    Vlan    Oper    Admin    Type    Asym PFC\n\
         -----------  -------  -------  -----  -----  -------  ------  ------  -------  ------  ----------\n  \
         Ethernet4  4,5,6,7     100G   9100    N/A     etp2  routed      up       up     N/A         N/A\n"
    );
    assert_eq!(host.prints("show interfaces status Ethernet99").lines().count(), 2);
    assert_eq!(host.prints("show interfaces description").lines().count(), 6);
    let row = |host: &mut Device| {
        let table = host.prints("show interfaces description Ethernet4");
        table.lines().last().unwrap().trim().to_owned()
    };
    assert_eq!(row(&mut host), "Ethernet4      up       up     etp2            N/A");
    let set = "sudo sonic-db-cli CONFIG_DB HSET 'PORT|Ethernet4' description";
    assert_eq!(host.prints(&format!("{set} 'rack 7 && more'")), "1\n");
    assert_eq!(host.prints(&format!("{set} 'rack 8'")), "0\n");
    assert_eq!(row(&mut host), "Ethernet4      up       up     etp2         rack 8");
    // What is deleted is applied still, what is empty is not.
    assert_eq!(host.prints("sudo sonic-db-cli CONFIG_DB HDEL 'PORT|Ethernet4' description"), "1\n");
    assert_eq!(row(&mut host), "Ethernet4      up       up     etp2         rack 8");
    host.prints(&format!("{set} ''"));
    assert_eq!(row(&mut host), "Ethernet4      up       up     etp2");

    host.prints("sudo config interface mtu Ethernet4 9000 && sudo config interface shutdown Ethernet4");
    let status = host.prints("show interfaces status Ethernet4");
    assert!(status.contains(" 9000 ") && status.contains(" down "), "{status}");
    assert_eq!(host.exec("sudo config interface mtu Ethernet1 9000").err, "Invalid port Ethernet1\n");
    assert_eq!(host.exec("sudo config interface mtu Ethernet4 x").status, 2);
}

#[test]
fn a_line_is_taken_apart_as_a_shell_does() {
    let mut host = host();
    for bad in ["show vlan config; id", "echo $x", "echo `id`", "echo 'x", "&& id", "echo x &&", "a | b"] {
        assert_eq!(host.exec(bad).status, 2, "{bad}");
    }
    assert_eq!(host.prints("echo 'a;  b'&&echo '' c"), "a;  b\n c\n");
    // Nothing behind what fails.
    let done = host.exec("sudo config vlan add 100 && sudo config vlan add 100 && sudo config vlan add 200");
    assert_eq!(done.status, 2);
    assert!(host.os.running().contains("Vlan100") && !host.os.running().contains("Vlan200"));
}
