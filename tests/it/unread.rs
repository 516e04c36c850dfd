//! A switch that is told what to do and never tells what it holds: Supermicro's words on a simulated
//! Cisco IOS, whose running configuration the test can look at and Mercury does not.

use mercury::sim::cli::{self, CliFault, CliSpec, CliSwitch, CliWhat};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::operations::becomes;
use crate::peers::{command, mercury_bin};
use crate::service::{Service, Site, and, detach, reset, update};

const PORT: &str = "GigabitEthernet0/1";

/// SMIS but for what this terminal calls otherwise.
const PROFILE: &str = r#"
like = "supermicro_smis"
[cli]
save = ["copy running-config startup-config"]
[cli.terminal]
setup = ["terminal length 0", "terminal width 511"]
[[cli.terminal.questions]]
after = '^copy running-config startup-config$'
match = '^Destination filename \[startup-config\]\?\s*$'
answer = ""
"#;

async fn start() -> (CliSwitch, Site) {
    start_as(PROFILE).await
}

/// The same where the profile says so.
async fn start_as(profile: &str) -> (CliSwitch, Site) {
    start_with(profile, "").await
}

/// The same with more lines for the device.
async fn start_with(profile: &str, more: &str) -> (CliSwitch, Site) {
    let spec = CliSpec {
        password: Some(SecretString::from("secret")),
        config: "vlan 100-120\nexit\n".to_owned(),
        ..CliSpec::new("cisco_ios")
    };
    let switch = cli::start(spec, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let site = Site::new();
    std::fs::create_dir(site.path("profiles")).unwrap();
    std::fs::write(site.path("profiles/blind.toml"), profile).unwrap();
    // With uplinks nobody can read, no network can be added.
    let networks = if more.contains("trunk_ports") { "" } else { "manage_vlans = true\n" };
    let lines = format!(
        "address = \"127.0.0.1\"\nport = {}\nusername = \"admin\"\npassword_file = \"secret\"\n\
         host_key = \"{}\"\nprofile = \"blind\"\nallowed_vlans = \"100-199\"\n{networks}{more}",
        switch.addr().port(),
        switch.host_key()
    );
    std::fs::create_dir(site.path("templates")).unwrap();
    let models = "[models]\nprofiles = \"profiles\"\ntemplates = \"templates\"\n";
    let site = site.device("leaf1", &lines).section(models);
    (switch, site.section("[audit]\nfile = \"audit.log\"\n"))
}

/// The port's lines in the running configuration.
fn held(switch: &CliSwitch) -> Vec<String> {
    let config = switch.running_config();
    let header = format!("interface {PORT}");
    let lines = config.lines().skip_while(|line| *line != header).skip(1);
    let mut held: Vec<String> =
        lines.take_while(|line| line.starts_with(' ')).map(|line| line.trim().to_owned()).collect();
    held.sort();
    held
}

/// What was typed since.
fn typed(switch: &CliSwitch, since: usize) -> Vec<String> {
    switch.commands().split_off(since).into_iter().map(|command| command.line).collect()
}

fn audit(site: &Site) -> Vec<Value> {
    let text = std::fs::read_to_string(site.path("audit.log")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn done(service: &Service, method: &str, params: Value) -> Value {
    service.call(method, params).await.unwrap_or_else(|failure| panic!("{method}: {failure:?}"))
}

#[tokio::test]
async fn what_is_applied_is_told_as_not_verified() {
    let (switch, site) = start().await;
    let service = site.serve().await;
    let trunk = [
        "switchport mode trunk",
        "switchport trunk allowed vlan 100,110-112",
        "switchport trunk native vlan 100",
    ];
    for (method, params, expected) in [
        (
            "update_port",
            update(PORT, "access", 100, &[]),
            &["switchport access vlan 100", "switchport mode access"][..],
        ),
        ("update_port", update(PORT, "trunk", 100, &[110, 111, 112]), &trunk[..]),
    ] {
        done(&service, method, params).await;
        let held = held(&switch);
        assert!(expected.iter().all(|line| held.iter().any(|held| held == line)), "{held:?}");
        assert_eq!(switch.startup_config(), switch.running_config());
        let line = audit(&site).pop().unwrap();
        assert_eq!((&line["outcome"], &line["verified"]), (&"applied".into(), &false.into()), "{line}");
        assert_eq!(line["before"], "not known");
        assert!(line["risks"].to_string().contains("not verified"), "{line}");
        assert_eq!(site.journal(), "");
    }
    // Afterwards the port holds what it shall hold, whatever it held before.
    done(&service, "reset_port", and(reset(PORT, 100), "default_vlan", 120)).await;
    let is_access = held(&switch).contains(&"switchport mode access".to_owned());
    assert!(
        is_access && held(&switch).contains(&"switchport access vlan 120".to_owned()),
        "{:?}",
        held(&switch)
    );
    done(&service, "detach_port", detach(PORT)).await;
    assert!(held(&switch).contains(&"shutdown".to_owned()), "{:?}", held(&switch));
    // Nobody knows whether it is so already: everything is said again, and a port that we took down comes up.
    let since = switch.commands().len();
    for _ in 0..2 {
        done(&service, "update_port", update(PORT, "access", 100, &[])).await;
        assert!(!held(&switch).contains(&"shutdown".to_owned()));
    }
    let said = typed(&switch, since);
    assert_eq!(said.iter().filter(|line| *line == "switchport access vlan 100").count(), 2, "{said:?}");
    assert!(!said.iter().any(|line| line.starts_with("show")), "{said:?}");
}

#[tokio::test]
async fn a_plan_says_that_nothing_is_verified_or_taken_back() {
    let (switch, site) = start().await;
    let service = site.serve().await;
    let since = switch.commands().len();
    let plan = and(update(PORT, "access", 100, &[]), "dry_run", true);
    let plan = done(&service, "update_port", plan).await["devices"][0].clone();
    assert_eq!((&plan["before"], &plan["inverse"]), (&"not known".into(), &"".into()), "{plan}");
    let payload =
        format!("interface {PORT}\nswitchport access vlan 100\nswitchport mode access\nno shutdown\nexit\n");
    assert_eq!(plan["payload"], payload);
    let risks = plan["risks"].to_string();
    for risk in
        ["not verified", "nothing can be taken back", "description is not set", "whether VLAN 100 exists"]
    {
        assert!(risks.contains(risk), "{risk}: {risks}");
    }
    assert!(!typed(&switch, since).iter().any(|line| line.starts_with("switchport")));
    // Which VLANs a port keeps that goes down cannot be said, and so it is not.
    let plan = done(&service, "detach_port", and(detach(PORT), "dry_run", true)).await["devices"][0].clone();
    assert_eq!(plan["after"], "VLANs not known (down)");
    assert!(plan["risks"].to_string().contains("may keep the VLANs it has"), "{plan}");
    let plan = and(and(reset(PORT, 100), "default_vlan", 120), "dry_run", true);
    let plan = done(&service, "reset_port", plan).await["devices"][0].clone();
    assert_eq!(plan["after"], "ACCESS 120");
    assert!(!plan["risks"].to_string().contains("may keep the VLANs it has"), "{plan}");
}

#[tokio::test]
async fn what_was_sent_in_part_is_not_known() {
    for (what, word) in [
        (CliWhat::Refuse("% Not today\n".to_owned()), "Not today"),
        // No profile could know these words; the line was taken, and that is not known either.
        (CliWhat::Say("Bitte warten\n".to_owned()), "Bitte warten"),
        (CliWhat::DropAfter, "closed"),
        (CliWhat::DropBefore, "closed"),
    ] {
        let (switch, site) = start().await;
        let service = site.serve().await;
        switch.fault(CliFault::once("^switchport mode", what.clone()).unwrap());
        let failure = service.call("update_port", update(PORT, "access", 100, &[])).await.unwrap_err();
        assert!(failure.message.contains("NOT KNOWN"), "{what:?}: {failure:?}");
        assert!(failure.message.contains(word), "{what:?}: {failure:?}");
        assert!(failure.message.contains("nothing was undone"), "{what:?}: {failure:?}");
        let last = audit(&site).pop().unwrap();
        assert_eq!(last["outcome"], "unknown", "{what:?}");
        // Nothing is left to settle, and the next change is made as if nothing had been.
        assert_eq!(site.journal(), "", "{what:?}");
        done(&service, "update_port", update(PORT, "access", 101, &[])).await;
        assert!(held(&switch).contains(&"switchport access vlan 101".to_owned()), "{what:?}");
    }
}

#[tokio::test]
async fn what_was_not_sent_changed_nothing() {
    let (switch, site) = start().await;
    let service = site.serve().await;
    let before = switch.running_config();
    // A line that only says which port the others are about changes nothing either.
    for command in ["^configure terminal", "^interface"] {
        switch.fault(CliFault::once(command, CliWhat::Refuse("% Locked\n".to_owned())).unwrap());
        let failure = service.call("update_port", update(PORT, "access", 100, &[])).await.unwrap_err();
        assert!(failure.message.contains("Locked"), "{failure:?}");
        assert!(failure.message.contains("nothing was changed"), "{failure:?}");
        assert_eq!((switch.running_config(), site.journal()), (before.clone(), String::new()));
    }
}

#[tokio::test]
async fn questions_that_only_a_reading_answers_are_refused() {
    let (switch, site) = start().await;
    let service = site.serve().await;
    let failure = service.call("check_port", update(PORT, "access", 100, &[])).await.unwrap_err();
    assert!(failure.message.contains("what it holds cannot be read"), "{failure:?}");
    let network = json!({ "devices": ["leaf1"], "network": {
        "id": "n1", "provider:network_type": "vlan", "provider:segmentation_id": 150 } });
    let before = switch.running_config();
    let failure = service.call("delete_network", network.clone()).await.unwrap_err();
    assert!(failure.message.contains("in use on leaf1 cannot be read"), "{failure:?}");
    assert_eq!(switch.running_config(), before);
    done(&service, "add_network", network).await;
    assert!(switch.running_config().contains("vlan 150\n"), "{}", switch.running_config());
}

/// Half of a change is on the switch, its Mercury is dead, and the profile says meanwhile that nothing can
/// be read: that it reads as nothing is no proof that nothing is there.
#[tokio::test]
async fn what_was_left_when_it_could_be_read_is_not_told_as_taken_back() {
    // Without the table of VLANs, whose absence would tell.
    let lines = std::fs::read_to_string("devices/cisco_ios.toml").unwrap();
    let is_left_out = |line: &&str| line.starts_with("aliases") || line.starts_with("network_instance");
    let lines: Vec<&str> = lines.lines().filter(|line| !is_left_out(line)).collect();
    let (switch, site) = start_as(&lines.join("\n")).await;
    let templates = site.path("templates/blind");
    std::fs::create_dir_all(&templates).unwrap();
    for file in std::fs::read_dir("templates/cisco_ios").unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), templates.join(file.file_name())).unwrap();
    }
    let service = site.serve().await;
    switch.fault(CliFault::once("^switchport mode", CliWhat::HangBefore).unwrap());
    let change = service.start_call("update_port", update(PORT, "access", 100, &[]));
    while !typed(&switch, 0).iter().any(|line| line.starts_with("switchport mode")) {
        assert!(!change.is_finished());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    drop(service);
    change.abort();
    assert_ne!(site.journal(), "");
    std::fs::remove_dir_all(templates).unwrap();
    std::fs::write(site.path("profiles/blind.toml"), PROFILE).unwrap();
    let service = site.serve().await;
    done(&service, "update_port", update("GigabitEthernet0/2", "access", 101, &[])).await;
    assert!(held(&switch).contains(&"switchport access vlan 100".to_owned()), "{:?}", held(&switch));
    let log = service.log();
    let told: Vec<&Value> = log.iter().filter(|event| !event["left_in"].is_null()).collect();
    assert!(!told.is_empty() && told.iter().all(|event| event["outcome"] == "unknown"), "{told:?}");
}

/// What the switch says when configuration mode is left is the last that it says of the change.
#[tokio::test]
async fn what_is_said_at_the_end_counts() {
    let profile = PROFILE.replace("save = [\"copy running-config startup-config\"]", "save = []");
    for what in [
        CliWhat::Say("% Commit failed\n".to_owned()),
        CliWhat::Say("Bitte warten\n".to_owned()),
        CliWhat::DropBefore,
    ] {
        let (switch, site) = start_as(&profile).await;
        let service = site.serve().await;
        switch.fault(CliFault::once("^end$", what.clone()).unwrap());
        let failure = service.call("update_port", update(PORT, "access", 100, &[])).await.unwrap_err();
        assert!(failure.message.contains("NOT KNOWN"), "{what:?}: {failure:?}");
    }
}

/// The ports of two callers go out together, and the switch does not know one of them.
#[tokio::test]
async fn a_port_that_is_refused_does_not_fail_another() {
    const OTHERS: [&str; 2] = ["GigabitEthernet0/2", "GigabitEthernet0/3"];
    let (switch, site) = start().await;
    let service = site.serve().await;
    let late = CliWhat::Delay(std::time::Duration::from_secs(1));
    switch.fault(CliFault::once("^switchport mode", late).unwrap());
    let no = CliWhat::Refuse("% Invalid input\n".to_owned());
    switch.fault(CliFault::every("^interface GigabitEthernet0/2", no).unwrap());
    let first = service.start_call("update_port", update(PORT, "access", 100, &[]));
    while !typed(&switch, 0).iter().any(|line| line.starts_with("switchport access")) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let [bad, good] = OTHERS.map(|port| service.start_call("update_port", update(port, "access", 101, &[])));
    first.await.unwrap().unwrap();
    let bad = bad.await.unwrap().unwrap_err();
    assert!(bad.message.contains("nothing was changed"), "{bad:?}");
    good.await.unwrap().unwrap_or_else(|failure| panic!("{failure:?}"));
}

/// Who counts successes, or reads the log, sees which of them nobody has looked at.
#[tokio::test]
async fn what_is_not_verified_is_counted_apart() {
    let (_switch, site) = start().await;
    let site = site.section("[metrics]\nlisten = \"127.0.0.1:0\"\n");
    let mut service = site.serve().await;
    done(&service, "update_port", update(PORT, "access", 100, &[])).await;
    service.process.wait_for_output("\"verified\":false").await;
    becomes(&service, "mercury_outcomes_total{outcome=\"applied_not_verified\"}", "1").await;
}

/// A switch takes a port by many names. Where none is looked up, only those that are listed are the ports
/// that the operator means, and that others are protected from.
#[tokio::test]
async fn another_name_of_a_protected_port_is_refused() {
    for (key, other) in [("protected_ports", "Gi0/1"), ("trunk_ports", "gigabitethernet0/1")] {
        let lines = format!("{key} = [\"{PORT}\"]\n");
        let (_switch, site) = start_with(PROFILE, &lines).await;
        let checked =
            command(mercury_bin()).args(["check-config", "--config"]).arg(site.write("info")).output();
        let checked = checked.unwrap();
        let said = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
        assert!(!checked.status.success() && said.contains("allowed_ports"), "{key}: {said}");

        let lines = format!("{lines}allowed_ports = [\"re:GigabitEthernet0/[0-9]+\"]\n");
        let (switch, site) = start_with(PROFILE, &lines).await;
        let service = site.serve().await;
        let before = held(&switch);
        for port in [PORT, other] {
            let failure = service.call("update_port", update(port, "access", 100, &[])).await.unwrap_err();
            assert_eq!(failure.code, 400, "{port}: {failure:?}");
        }
        assert_eq!(held(&switch), before);
        done(&service, "update_port", update("GigabitEthernet0/2", "access", 100, &[])).await;
    }
}

/// One change of two switches, of which one cannot be read: whichever refuses, each is told what is known of
/// itself.
#[tokio::test]
async fn a_switch_that_can_be_read_is_taken_back_beside_one_that_cannot() {
    for refuses in ["leaf1", "leaf2"] {
        let (blind, site) = start().await;
        let spec = CliSpec {
            password: Some(SecretString::from("secret")),
            config: "vlan 100-120\nexit\n".to_owned(),
            ..CliSpec::new("cisco_ios")
        };
        let read = cli::start(spec, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let lines = format!(
            "address = \"127.0.0.1\"\nport = {}\nusername = \"admin\"\npassword_file = \"secret\"\n\
             host_key = \"{}\"\nprofile = \"cisco_ios\"\nallowed_vlans = \"100-199\"\n",
            read.addr().port(),
            read.host_key()
        );
        let site = site.device("leaf2", &lines);
        let service = site.serve().await;
        let before = read.running_config();
        let no = CliWhat::Refuse("% Not today\n".to_owned());
        let refusing = if refuses == "leaf1" { &blind } else { &read };
        refusing.fault(CliFault::once("^switchport mode", no).unwrap());
        let mut params = crate::service::attach(PORT, 100, &[]);
        let links = ["leaf1", "leaf2"].map(|leaf| json!({ "switch_id": leaf, "port_id": PORT }));
        params["port"]["binding:profile"]["local_link_information"] = json!(links);
        let failure = service.call("attach_port", params).await.unwrap_err();
        assert_eq!(failure.outcome(), "unknown", "{refuses}: {failure:?}");
        let told = |leaf: &str| {
            let lines = audit(&site).into_iter().filter(|line| line["device"] == leaf);
            lines.map(|line| line["outcome"].clone()).collect::<Vec<_>>()
        };
        assert_eq!((told("leaf1"), told("leaf2")), (vec!["unknown".into()], vec!["rolled_back".into()]));
        assert_eq!((read.running_config(), site.journal()), (before, String::new()), "{refuses}");
    }
}
