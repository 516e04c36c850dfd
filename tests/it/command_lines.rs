//! Mercury on simulated command lines, which share nothing with its profiles and templates.

use mercury::sim::cli::{self, CliFault, CliSpec, CliSwitch, CliWhat};
use secrecy::SecretString;
use serde_json::Value;

use crate::service::{Service, Site, and, detach, reset, update};

/// Of Ironic's own making, so a detach clears it.
const DESCRIPTION: &str = "Ironic Port 0d2b1f6e-3a53-4f3b-9b44-8f4f4d1d2c11";

async fn start(system: &str, config: &str) -> CliSwitch {
    let spec = CliSpec {
        password: Some(SecretString::from("secret")),
        enable_secret: (system == "cisco_ios").then(|| SecretString::from("secret")),
        config: config.to_owned(),
        ..CliSpec::new(system)
    };
    cli::start(spec, "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

fn site(switch: &CliSwitch, profile: &str, lines: &str) -> Site {
    let login = format!(
        "address = \"127.0.0.1\"\nport = {}\nusername = \"admin\"\npassword_file = \"secret\"\n\
         enable_secret_file = \"secret\"\nhost_key = \"{}\"\nprofile = \"{profile}\"\n\
         allowed_vlans = \"100-199\"\ncreate_missing_vlans = true\n{lines}",
        switch.addr().port(),
        switch.host_key()
    );
    Site::new().device("leaf1", &login)
}

async fn applied(service: &Service, switch: &CliSwitch, method: &str, params: Value) -> Value {
    match service.call(method, params.clone()).await {
        Ok(answer) => answer,
        Err(failure) => panic!("{method} {params}: {failure:?}\n{:#?}", switch.commands()),
    }
}

/// The lines of one section of a running configuration.
fn section(config: &str, header: &str) -> Vec<String> {
    let lines = config.lines().skip_while(|line| *line != header).skip(1);
    lines.take_while(|line| line.starts_with(' ')).map(|line| line.trim().to_owned()).collect()
}

#[tokio::test]
async fn cisco_ios_holds_what_was_asked() {
    const PORT: &str = "GigabitEthernet0/1";
    let switch = start("cisco_ios", "").await;
    let service = site(&switch, "cisco_ios", "").serve().await;
    let untouched = section(&switch.running_config(), "interface GigabitEthernet0/2");
    let ours = format!("description {DESCRIPTION}");
    let update = |port: &str, mode: &str, native: Option<u16>, tagged: &[u16]| {
        and(update(port, mode, native, tagged), "description", DESCRIPTION)
    };
    let access = |vlan: u16| {
        vec![ours.clone(), format!("switchport access vlan {vlan}"), "switchport mode access".to_owned()]
    };
    let steps = [
        ("update_port", update(PORT, "access", Some(100), &[]), access(100)),
        ("update_port", update(PORT, "access", Some(101), &[]), access(101)),
        (
            "update_port",
            update(PORT, "trunk", None, &[110, 111, 112, 120]),
            vec![
                ours.clone(),
                "switchport trunk allowed vlan 110-112,120".to_owned(),
                "switchport mode trunk".to_owned(),
            ],
        ),
        (
            "update_port",
            update(PORT, "trunk", Some(100), &[110, 112]),
            vec![
                ours.clone(),
                "switchport trunk native vlan 100".to_owned(),
                "switchport trunk allowed vlan 100,110,112".to_owned(),
                "switchport mode trunk".to_owned(),
            ],
        ),
        ("update_port", update(PORT, "access", Some(150), &[]), access(150)),
        ("reset_port", reset(PORT, 150), vec!["shutdown".to_owned()]),
        (
            "reset_port",
            and(reset(PORT, 150), "default_vlan", 199),
            vec![
                "switchport access vlan 199".to_owned(),
                "switchport mode access".to_owned(),
                "shutdown".to_owned(),
            ],
        ),
        ("detach_port", detach(PORT), vec!["shutdown".to_owned()]),
        ("update_port", update(PORT, "access", Some(100), &[]), access(100)),
    ];
    for (method, params, mut expected) in steps {
        applied(&service, &switch, method, params.clone()).await;
        let mut found = section(&switch.running_config(), &format!("interface {PORT}"));
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{method} {params}\n{:#?}", switch.commands());
        assert_eq!(switch.startup_config(), switch.running_config(), "{method} {params}");
        // The same again configures nothing.
        let before = switch.commands().len();
        applied(&service, &switch, method, params.clone()).await;
        let again: Vec<String> = switch.commands().split_off(before).into_iter().map(|c| c.line).collect();
        assert!(again.iter().all(|line| line.starts_with("show ")), "{method} {params}: {again:?}");
    }
    assert_eq!(section(&switch.running_config(), "interface GigabitEthernet0/2"), untouched);
    assert!(switch.running_config().contains("vlan 112\n"), "{}", switch.running_config());
}

#[tokio::test]
async fn a_refused_line_leaves_cisco_ios_as_it_was() {
    const PORT: &str = "GigabitEthernet0/1";
    let switch = start("cisco_ios", "").await;
    let service = site(&switch, "cisco_ios", "").serve().await;
    applied(&service, &switch, "update_port", update(PORT, "access", 100, &[])).await;
    let before = switch.running_config();
    switch.fault(
        CliFault::once("^switchport mode trunk", CliWhat::Refuse("Command rejected: not today\n".to_owned()))
            .unwrap(),
    );
    let failure = service.call("update_port", update(PORT, "trunk", 101, &[110])).await.unwrap_err();
    assert!(failure.message.contains("Command rejected: not today"), "{failure:?}");
    assert!(failure.message.contains("as before"), "{failure:?}");
    // The VLANs that it made stay: they are shared.
    let port = |config: &str| section(config, &format!("interface {PORT}"));
    assert_eq!(port(&switch.running_config()), port(&before), "{:#?}", switch.commands());
}
