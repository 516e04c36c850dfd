use secrecy::SecretString;

use super::Talk;
use crate::sim::cli::CliSpec;

const PORT: &str = "GigabitEthernet0/1";

fn ios() -> Talk {
    Talk::new(&CliSpec::new("cisco_ios"))
}

/// In configuration mode.
fn configuring() -> Talk {
    let mut ios = ios();
    ios.enter("conf t");
    ios
}

#[test]
fn modes() {
    let spec = CliSpec { enable_secret: Some(SecretString::from("secret")), ..CliSpec::new("cisco_ios") };
    let mut ios = Talk::new(&spec);
    assert_eq!(ios.enter("").1, "Switch>");
    assert!(ios.enter("conf t").0.contains("% Invalid input"));
    assert_eq!(ios.enter("ena").1, "Password: ");
    assert_eq!(ios.enter("wrong").1, "Password: ");
    assert_eq!(ios.enter("secret").1, "Switch#");
    let (said, prompt) = ios.enter("conf t");
    assert_eq!(said, "Enter configuration commands, one per line.  End with CNTL/Z.\n");
    assert_eq!(prompt, "Switch(config)#");
    assert_eq!(ios.enter("int gi0/1").1, "Switch(config-if)#");
    assert_eq!(ios.enter("vlan 10").1, "Switch(config-vlan)#");
    assert_eq!(ios.enter("exit").1, "Switch(config)#");
    assert_eq!(ios.enter("hostname a-switch-with-a-very-long-name").1, "a-switch-with-a-very(config)#");
    assert_eq!(ios.enter("end").1, "a-switch-with-a-very-long-name#");
    assert_eq!(ios.enter("disable").1, "a-switch-with-a-very-long-name>");
    ios.enter("enable");
    ios.enter("1");
    ios.enter("2");
    assert_eq!(
        ios.enter("3"),
        ("% Bad secrets\n\n".to_owned(), "a-switch-with-a-very-long-name>".to_owned())
    );
}

#[test]
fn refusals() {
    let mut ios = ios();
    assert_eq!(ios.enter("co").0, "% Ambiguous command:  \"co\"\n");
    assert_eq!(ios.enter("configure").0, "% Incomplete command.\n\n");
    let caret = "              ^\n% Invalid input detected at '^' marker.\n\n";
    assert_eq!(ios.enter("show vlXn").0, caret.replace("              ", "            "), "under the word");
    ios.enter("conf t");
    assert_eq!(ios.enter("interface gi0/99").0, format!("{}{caret}", " ".repeat(11)));
    assert!(ios.enter("vlan 5000").0.starts_with("Command rejected: Bad VLAN list - character #5 (EOL)"));
    assert_eq!(ios.enter("no vlan 1").0, "%Default VLAN 1 may not be deleted.\n");
    ios.enter("int gi0/1");
    assert!(ios.enter("switchport access vlan 5000").0.contains("% Invalid input"));
    assert_eq!(ios.enter("switchport access vlan").0, "% Incomplete command.\n\n");
    assert!(ios.enter("switchport mode great").0.contains("% Invalid input"));
    assert_eq!(ios.port(PORT), [""; 0]);
}

#[test]
fn a_vlan_is_there_when_its_mode_is_left() {
    let mut ios = configuring();
    ios.quietly(&["vlan 100", "name blue"]);
    assert!(!ios.running().contains("vlan 100"));
    ios.quietly(&["vlan 200,300"]);
    assert!(ios.running().contains("vlan 100\n name blue\n!\n"));
    assert!(!ios.running().contains("200"));
    ios.quietly(&["end"]);
    assert!(ios.running().contains("vlan 200,300\n!\n"), "{}", ios.running());
    let table = ios.enter("sh vlan br").0;
    assert!(table.contains("\n100  blue                             active    \n"), "{table}");
    assert!(table.contains("\n1    default                          active    Gi0/1, Gi0/2, Gi0/3, Gi0/4\n"));
    assert!(table.contains("\n1002 fddi-default                     act/unsup \n"), "{table}");
    ios.enter("conf t");
    ios.quietly(&["no vlan 100", "no vlan 3999", "vlan 400"]);
    let session = ios.device.os.open();
    ios.device.os.close(ios.session);
    ios.session = session;
    assert!(!ios.running().contains("vlan 100") && !ios.running().contains("400"));
}

#[test]
fn access_and_trunk() {
    let mut ios = configuring();
    ios.quietly(&["interface GigabitEthernet 0/1", "switchport mode access", "description to  a server"]);
    assert_eq!(
        ios.enter("switchport access vlan 100").0,
        "% Access VLAN does not exist. Creating vlan 100\n"
    );
    ios.quietly(&["switchport access vlan 100", "shutdown", "mtu 9000", "spanning-tree bpduguard enable"]);
    let lines = [
        "description to  a server",
        "switchport access vlan 100",
        "switchport mode access",
        "mtu 9000",
        "shutdown",
    ];
    assert_eq!(ios.port(PORT)[..5], lines);
    ios.quietly(&[
        "switchport access vlan 1",
        "no shutdown",
        "no mtu",
        "no description",
        "no spanning-tree bpduguard",
    ]);
    assert_eq!(ios.port(PORT), ["switchport mode access"]);

    let allowed = "switchport trunk allowed vlan";
    ios.quietly(&["switchport mode trunk", "switchport trunk native vlan 10"]);
    for (line, list) in [
        ("10,20-30", "10,20-30"),
        ("add 40", "10,20-30,40"),
        ("remove 21-29", "10,20,30,40"),
        ("none", "none"),
        ("add 5", "5"),
        ("except 3-4094", "1,2"),
    ] {
        ios.quietly(&[&format!("{allowed} {line}")]);
        let shown = format!("{allowed} {list}");
        assert_eq!(ios.port(PORT), ["switchport trunk native vlan 10", &shown, "switchport mode trunk"]);
    }
    ios.quietly(&["no switchport trunk allowed vlan", "switchport trunk allowed vlan remove 1-4000"]);
    assert_eq!(ios.port(PORT)[1], format!("{allowed} 4001-4094"));
    ios.quietly(&["switchport trunk allowed vlan all", "switchport trunk native vlan 1"]);
    assert_eq!(ios.port(PORT), ["switchport mode trunk"]);
    let odd: Vec<String> = (0..40).map(|n| (101 + 2 * n).to_string()).collect();
    ios.quietly(&[&format!("{allowed} {}", odd.join(","))]);
    let shown = ios.port(PORT);
    assert!(shown[1].starts_with(&format!("{allowed} add ")) && shown.iter().all(|line| line.len() < 80));
    ios.enter("default interface gi0/1");
    assert_eq!(ios.port(PORT), [""; 0]);
}

#[test]
fn show_and_save() {
    let mut ios = configuring();
    ios.quietly(&["int gi0/2", "shutdown", "end"]);
    let (part, _) = ios.enter("show running-config interface gi0/2");
    assert!(part.starts_with("Building configuration...\n\nCurrent configuration : "), "{part}");
    assert!(part.ends_with("!\ninterface GigabitEthernet0/2\n shutdown\nend\n\n"), "{part}");
    let (found, _) = ios.enter("show run | section GigabitEthernet0/2");
    assert_eq!(found, "interface GigabitEthernet0/2\n shutdown\n");
    assert_eq!(ios.enter("show run | inc ^ shut").0, " shutdown\n");
    assert!(!ios.device.os.startup().contains("shutdown"));
    assert_eq!(ios.enter("copy run start").1, "Destination filename [startup-config]? ");
    assert_eq!(ios.enter(""), ("Building configuration...\n[OK]\n".to_owned(), "Switch#".to_owned()));
    assert_eq!(ios.device.os.startup(), ios.running());
    ios.enter("conf t");
    ios.quietly(&["int gi0/2", "no shut"]);
    assert_eq!(ios.enter("do write mem").0, "Building configuration...\n[OK]\n");
    assert!(!ios.device.os.startup().contains("shutdown"));
}

#[test]
fn variants() {
    let with = |variant: &str| CliSpec { variants: [variant.to_owned()].into(), ..CliSpec::new("cisco_ios") };
    let mut ios = Talk::new(&with("isl"));
    ios.enter("conf t");
    ios.enter("int gi0/1");
    assert!(ios.enter("switchport mode trunk").0.starts_with("Command rejected: An interface whose trunk"));
    ios.quietly(&["switchport mode access", "switchport trunk encapsulation dot1q", "switchport mode trunk"]);
    assert_eq!(ios.port(PORT), ["switchport trunk encapsulation dot1q", "switchport mode trunk"]);

    let mut ios = Talk::new(&with("vtp-server"));
    ios.enter("conf t");
    ios.quietly(&["vlan 100", "end"]);
    assert!(!ios.running().contains("vlan 100"));
    assert!(ios.enter("show vlan brief").0.contains("\n100  VLAN0100 "));
}
