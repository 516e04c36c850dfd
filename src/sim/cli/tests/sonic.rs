use tokio::time::Instant;

use crate::sim::cli::{CliSpec, Device};

#[test]
fn vlans_and_members() {
    let mut device = Device::new(&CliSpec::new("sonic")).unwrap();
    let mut run = |command: &str| device.os.exec(command, Instant::now());
    let done = run("sudo config vlan add 100 && sudo config vlan member add -u 100 Ethernet0");
    assert_eq!((done.status, done.out.as_str(), done.err.as_str()), (0, "", ""));
    assert_eq!(run("config vlan add 200").err, "Root privileges are required for this operation\n");
    for (command, why) in [
        ("vlan add 100", "Vlan100 already exists."),
        ("vlan add 1", "Vlan1 is default VLAN"),
        ("vlan add 4095", "Invalid VLAN ID 4095 (2-4094)"),
        ("vlan del 200", "Vlan200 does not exist"),
        ("vlan del 100", "VLAN ID 100 can not be removed. First remove all members assigned to this VLAN."),
        ("vlan member add 100 Ethernet0", "Ethernet0 is already a member of Vlan100"),
        ("vlan member add 100 Ethernet1", "Ethernet1 does not exist"),
        ("vlan member del 100 Ethernet4", "Ethernet4 is not a member of Vlan100"),
        ("interface shutdown Ethernet1", "Interface name is invalid. Please enter a valid interface name!!"),
        ("frobnicate", "No such command \"frobnicate\"."),
    ] {
        let done = run(&format!("sudo config {command}"));
        assert_eq!(
            (done.status, done.err.ends_with(&format!("\n\nError: {why}\n"))),
            (2, true),
            "{command}: {done:?}"
        );
    }
    run("sudo config vlan add 200");
    assert!(run("sudo config vlan member add -u 200 Ethernet0").err.contains("already untagged member!"));
    run("sudo config vlan member add 200 Ethernet0 && sudo config interface shutdown Ethernet0");
    let table = run("show vlan config").out;
    assert!(
        table.ends_with("Vlan100    100  Ethernet0   untagged\nVlan200    200  Ethernet0   tagged\n"),
        "{table}"
    );
    assert_eq!(run("frobnicate").status, 127);
    assert!(run("sudo config save -y").out.starts_with("Running command: "));
    let saved: serde_json::Value = serde_json::from_str(&device.os.startup()).unwrap();
    assert_eq!(saved["PORT"]["Ethernet0"]["admin_status"], "down");
    assert_eq!(saved["VLAN_MEMBER"]["Vlan100|Ethernet0"]["tagging_mode"], "untagged");
}
