//! Mercury on simulated command lines, which share nothing with its profiles and templates.

use mercury::sim::cli::{self, CliFault, CliSpec, CliSwitch, CliWhat};
use mercury::transaction::journal::unix_time_in;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::service::{Service, Site, and, detach, reset, update};

/// Of Ironic's own making, so a detach clears it.
const DESCRIPTION: &str = "Ironic Port 0d2b1f6e-3a53-4f3b-9b44-8f4f4d1d2c11";

fn spec(system: &str, config: &str) -> CliSpec {
    CliSpec {
        password: Some(SecretString::from("secret")),
        enable_secret: (system == "cisco_ios").then(|| SecretString::from("secret")),
        config: config.to_owned(),
        ..CliSpec::new(system)
    }
}

async fn start(system: &str, config: &str) -> CliSwitch {
    cli::start(spec(system, config), "127.0.0.1:0".parse().unwrap()).await.unwrap()
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

/// The first has a link, the second has none, the third is down.
#[tokio::test]
async fn what_ports_report_is_told_in_the_models_words() {
    for (system, ports, no_link) in [
        ("cisco_ios", ["GigabitEthernet0/1", "GigabitEthernet0/2", "GigabitEthernet0/3"], "DOWN"),
        ("arista_eos", ["Ethernet1", "Ethernet2", "Ethernet3"], "NOT_PRESENT"),
        ("juniper_junos", ["ge-0/0/0", "ge-0/0/1", "ge-0/0/2"], "DOWN"),
        ("sonic", ["Ethernet0", "Ethernet4", "Ethernet8"], "DOWN"),
    ] {
        let spec = CliSpec { no_link: vec![ports[1].to_owned()], ..spec(system, "") };
        let switch = cli::start(spec, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let service = site(&switch, system, "").serve().await;
        for port in &ports[..2] {
            applied(&service, &switch, "update_port", update(port, "access", 100, &[])).await;
        }
        applied(&service, &switch, "detach_port", detach(ports[2])).await;
        let said = [("UP", "UP"), ("UP", no_link), ("DOWN", "DOWN")];
        for (port, (admin, oper)) in ports.iter().zip(said) {
            let check = applied(&service, &switch, "check_port", checked(port)).await;
            let port = &check["devices"][0];
            assert_eq!(
                (&port["admin_status"], &port["oper_status"]),
                (&admin.into(), &oper.into()),
                "{check}"
            );
        }
    }
}

/// A command that is refused, and one that shows words that nobody knows: nothing is made up.
#[tokio::test]
async fn what_is_not_reported_is_not_told() {
    const PORT: &str = "GigabitEthernet0/1";
    let texts = [("port-up".to_owned(), "{port} is deleted, line protocol is down\n".to_owned())].into();
    let spec = CliSpec { texts, ..spec("cisco_ios", "") };
    let switch = cli::start(spec, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let service = site(&switch, "cisco_ios", "").serve().await;
    applied(&service, &switch, "update_port", update(PORT, "access", 100, &[])).await;
    let refused = CliWhat::Refuse("% Invalid input detected at '^' marker.\n".to_owned());
    switch.fault(CliFault::once("^show interfaces ", refused).unwrap());
    for _ in 0..2 {
        let check = applied(&service, &switch, "check_port", checked(PORT)).await;
        let port = &check["devices"][0];
        assert_eq!((&port["admin_status"], &port["oper_status"]), (&Value::Null, &Value::Null), "{check}");
        assert_eq!(port["matches"], true, "{check}");
    }
    assert_eq!(typed(&switch, 0).iter().filter(|line| line.starts_with("show interfaces ")).count(), 2);
}

fn checked(port: &str) -> Value {
    json!({ "switch_id": "leaf1", "port_name": port, "mode": "access", "native_vlan": 100 })
}

/// Every line that was typed since.
fn typed(switch: &CliSwitch, since: usize) -> Vec<String> {
    switch.commands().split_off(since).into_iter().map(|command| command.line).collect()
}

#[tokio::test]
async fn arista_eos_commits_with_a_timer_and_confirms() {
    const PORT: &str = "Ethernet1";
    let switch = start("arista_eos", "").await;
    let service = site(&switch, "arista_eos", "").serve().await;
    let port = |switch: &CliSwitch| section(&switch.running_config(), &format!("interface {PORT}"));
    let steps = [
        (update(PORT, "access", 100, &[]), vec!["switchport access vlan 100"]),
        (
            update(PORT, "trunk", 101, &[110, 111, 112]),
            vec![
                "switchport trunk native vlan 101",
                "switchport trunk allowed vlan 101,110-112",
                "switchport mode trunk",
            ],
        ),
        (update(PORT, "access", 150, &[]), vec!["switchport access vlan 150"]),
    ];
    for (params, expected) in steps {
        let params = and(params, "description", DESCRIPTION);
        let since = switch.commands().len();
        applied(&service, &switch, "update_port", params.clone()).await;
        let lines = typed(&switch, since);
        let mut found = port(&switch);
        found.retain(|line| !line.starts_with("description"));
        assert_eq!(found, expected, "{lines:#?}");
        assert!(lines.iter().any(|line| line.starts_with("commit timer 00:")), "{lines:#?}");
        assert!(lines.iter().any(|line| line.ends_with(" commit")), "{lines:#?}");
        assert!(!switch.pending_commit());
        assert_eq!(switch.startup_config(), switch.running_config());
    }
    applied(&service, &switch, "reset_port", reset(PORT, 150)).await;
    assert_eq!(port(&switch), ["shutdown"]);
    // A line that is refused never reaches running.
    let before = switch.running_config();
    let refusal = CliWhat::Refuse("% Invalid input\n".to_owned());
    switch.fault(CliFault::once("^switchport mode trunk", refusal).unwrap());
    let failure = service.call("update_port", update(PORT, "trunk", 101, &[110])).await.unwrap_err();
    assert!(
        failure.message.contains("% Invalid input") && failure.message.contains("as before"),
        "{failure:?}"
    );
    assert_eq!(switch.running_config(), before);
    // The connection goes with the answer to the timed commit: what pends is taken back by its name.
    switch.fault(CliFault::once("^commit timer", CliWhat::DropAfter).unwrap());
    let failure = service.call("update_port", update(PORT, "access", 100, &[])).await.unwrap_err();
    assert!(failure.message.contains("as before"), "{failure:?}");
    assert_eq!(
        (switch.running_config(), switch.pending_commit()),
        (before, false),
        "{:#?}",
        switch.commands()
    );
}

#[tokio::test]
async fn juniper_junos_commits_confirmed_and_confirms() {
    const PORT: &str = "ge-0/0/1";
    let switch = start("juniper_junos", "").await;
    let service = site(&switch, "juniper_junos", "").serve().await;
    let port = |switch: &CliSwitch| -> Vec<String> {
        let config = switch.running_config();
        let lines = config.lines().filter(|line| line.contains(PORT) && !line.contains("description"));
        lines.map(|line| line.replace(&format!("set interfaces {PORT} "), "")).collect()
    };
    let steps = [
        (update(PORT, "access", 100, &[]), "access"),
        (update(PORT, "trunk", 101, &[110, 111, 112]), "trunk"),
        (update(PORT, "access", 150, &[]), "access"),
    ];
    for (params, mode) in steps {
        let params = and(params, "description", DESCRIPTION);
        let since = switch.commands().len();
        applied(&service, &switch, "update_port", params.clone()).await;
        let lines = typed(&switch, since);
        let found = port(&switch).join("\n");
        assert!(found.contains(&format!("interface-mode {mode}")), "{}\n{lines:#?}", switch.running_config());
        assert_eq!(found.contains("native-vlan-id 101"), mode == "trunk", "{found}");
        assert!(lines.iter().any(|line| line.starts_with("commit confirmed ")), "{lines:#?}");
        assert!(!switch.pending_commit());
        let since = switch.commands().len();
        applied(&service, &switch, "update_port", params).await;
        let again = typed(&switch, since);
        assert!(again.iter().all(|line| line.starts_with("show ")), "{again:?}");
    }
    applied(&service, &switch, "reset_port", reset(PORT, 150)).await;
    let found = port(&switch).join("\n");
    assert!(found.contains("disable") && !found.contains("members"), "{found}");
    // Somebody else is in the candidate: nothing is touched.
    let before = switch.running_config();
    let refusal = "error: configuration database locked by:\n  other terminal p0 (pid 1) on since 2026\n";
    switch.fault(CliFault::every("^configure exclusive", CliWhat::Refuse(refusal.to_owned())).unwrap());
    let failure = service.call("update_port", update(PORT, "access", 100, &[])).await.unwrap_err();
    assert!(failure.message.contains("locked by") && failure.message.contains("as before"), "{failure:?}");
    assert_eq!(switch.running_config(), before);
}

/// Killed behind a confirm, before the switch was told to save.
#[tokio::test]
async fn a_change_that_is_found_confirmed_is_saved_too() {
    let switch = start("arista_eos", "").await;
    let site = site(&switch, "arista_eos", "");
    let mut service = site.serve().await;
    switch.fault(CliFault::once("^configure session .* commit$", CliWhat::HangAfter).unwrap());
    let call = service.start_call("update_port", update("Ethernet1", "access", 100, &[]));
    let is_confirm = |line: &String| line.starts_with("configure session") && line.ends_with(" commit");
    while !typed(&switch, 0).iter().any(is_confirm) || switch.pending_commit() {
        assert!(!call.is_finished(), "{:#?}", switch.commands());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    call.abort();
    service.process.kill();
    assert_ne!(switch.startup_config(), switch.running_config());
    let mut next = site.serve().await;
    next.process.wait_for_output("an interrupted change had been confirmed").await;
    assert!(switch.running_config().contains("switchport access vlan 100"), "{}", switch.running_config());
    assert_eq!(switch.startup_config(), switch.running_config(), "{:#?}", switch.commands());
}

/// Killed while the switch saves what is confirmed: however long ago its timer would have ended, nothing
/// takes the change back.
#[tokio::test]
async fn a_change_whose_save_was_interrupted_stays() {
    const SAVE: &str = "copy running-config startup-config";
    let switch = start("arista_eos", "").await;
    let site = site(&switch, "arista_eos", "");
    let mut service = site.serve().await;
    switch.fault(CliFault::once(SAVE, CliWhat::HangAfter).unwrap());
    let call = service.start_call("update_port", update("Ethernet1", "access", 100, &[]));
    while !typed(&switch, 0).iter().any(|line| line == SAVE) {
        assert!(!call.is_finished(), "{:#?}", switch.commands());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    call.abort();
    service.process.kill();
    let journal = std::fs::read_dir(site.path("locks")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&journal).unwrap();
    let just_over = format!("${{1}}{}", unix_time_in(std::time::Duration::ZERO) - 1);
    let timer = regex::Regex::new("(\"timer_from\":)[0-9]+").unwrap();
    assert!(timer.is_match(&text), "{text}");
    std::fs::write(&journal, timer.replace_all(&text, just_over).as_ref()).unwrap();
    let mut next = site.serve().await;
    next.process.wait_for_output("an interrupted change").await;
    let log = next.log();
    let told: Vec<&Value> = log.iter().filter(|event| !event["left_in"].is_null()).collect();
    assert!(told.iter().all(|event| event["outcome"] == "applied"), "{told:?}");
    assert!(switch.running_config().contains("switchport access vlan 100"), "{}", switch.running_config());
}

/// What was sent under a timer holds what neither we nor the port had: it is told to be left as it is, so
/// no timer may take it away behind that answer.
#[tokio::test]
async fn what_is_left_to_others_no_timer_takes_away() {
    const PORT: &str = "ge-0/0/1";
    let switch = start("juniper_junos", "").await;
    let service = site(&switch, "juniper_junos", "").serve().await;
    let theirs = format!("set interfaces {PORT} description theirs");
    switch.fault(CliFault::once("^commit confirmed", CliWhat::First(theirs.clone())).unwrap());
    let failure = service.call("update_port", update(PORT, "access", 100, &[])).await.unwrap_err();
    assert!(failure.message.contains("nothing was undone"), "{failure:?}");
    assert!(switch.running_config().contains(&theirs), "{}", switch.running_config());
    assert!(!switch.pending_commit(), "{:#?}", switch.commands());
}

#[tokio::test]
async fn the_spanning_tree_is_told_in_each_systems_words() {
    for (system, name, edge) in [
        ("cisco_ios", "GigabitEthernet0/1", "spanning-tree portfast trunk"),
        ("arista_eos", "Ethernet1", "spanning-tree portfast"),
    ] {
        let switch = start(system, "").await;
        let service = site(&switch, system, "stp_edge = true\nbpdu_guard = true\n").serve().await;
        let port = || section(&switch.running_config(), &format!("interface {name}"));
        applied(&service, &switch, "update_port", update(name, "access", 100, &[])).await;
        let tree: Vec<String> = port().into_iter().filter(|line| line.starts_with("spanning")).collect();
        assert_eq!(tree, [edge, "spanning-tree bpduguard enable"], "{:#?}", switch.commands());
        let since = switch.commands().len();
        applied(&service, &switch, "update_port", update(name, "access", 100, &[])).await;
        assert!(typed(&switch, since).iter().all(|line| line.starts_with("show ")), "{system}");
        // A line that is refused takes it back with the rest.
        let before = port();
        switch.fault(
            CliFault::once("^switchport mode trunk", CliWhat::Refuse("% Invalid input\n".to_owned()))
                .unwrap(),
        );
        service.call("update_port", update(name, "trunk", 101, &[110])).await.unwrap_err();
        assert_eq!(port(), before);
        applied(&service, &switch, "reset_port", reset(name, 100)).await;
        let left: Vec<String> = port().into_iter().filter(|line| !line.starts_with("description")).collect();
        assert_eq!(left, ["shutdown", edge, "spanning-tree bpduguard enable"], "{system}");
    }
}

/// What Junos holds of its spanning tree.
fn tree(switch: &CliSwitch) -> Vec<String> {
    let config = switch.running_config();
    config.lines().filter_map(|line| line.strip_prefix("set protocols ").map(str::to_owned)).collect()
}

#[tokio::test]
async fn junos_is_told_of_the_protocol_that_it_runs() {
    const PORT: &str = "ge-0/0/1";
    const WISHES: &str = "stp_edge = true\nbpdu_guard = true\n";
    let blocked = format!("layer2-control bpdu-block interface {PORT}");
    let switch = start("juniper_junos", "").await;
    let service = site(&switch, "juniper_junos", WISHES).serve().await;
    let told = [format!("rstp interface {PORT} edge"), blocked.clone()];
    for mode in ["access", "trunk", "access"] {
        applied(&service, &switch, "update_port", update(PORT, mode, 100, &[])).await;
        assert_eq!(tree(&switch), told, "{:#?}", switch.commands());
    }
    let since = switch.commands().len();
    applied(&service, &switch, "update_port", update(PORT, "access", 100, &[])).await;
    assert!(typed(&switch, since).iter().all(|line| line.starts_with("show ")));
    applied(&service, &switch, "reset_port", reset(PORT, 100)).await;
    assert_eq!(tree(&switch), told);

    // One that runs MSTP refuses RSTP beside it, and holds what it held.
    let uplink = "mstp interface ge-0/0/3";
    let switch = start("juniper_junos", &format!("set protocols {uplink}")).await;
    let service = site(&switch, "juniper_junos", WISHES).serve().await;
    let before = switch.running_config();
    let failure = service.call("update_port", update(PORT, "access", 100, &[])).await.unwrap_err();
    assert!(failure.message.contains("configuration check-out failed"), "{failure:?}");
    assert!(failure.message.contains("as before"), "{failure:?}");
    assert_eq!(switch.running_config(), before);

    // A profile of the site's says it of MSTP.
    let own = site(&switch, "site_mstp", WISHES);
    std::fs::create_dir_all(own.path("templates/site_mstp")).unwrap();
    std::fs::create_dir(own.path("profiles")).unwrap();
    std::fs::write(own.path("profiles/site_mstp.toml"), "like = \"juniper_junos\"\n").unwrap();
    let words = std::fs::read_to_string("templates/juniper_junos/edge.j2").unwrap().replace("rstp", "mstp");
    std::fs::write(own.path("templates/site_mstp/edge.j2"), words).unwrap();
    let own = own.section("[models]\nprofiles = \"profiles\"\ntemplates = \"templates\"\n");
    let service = own.serve().await;
    applied(&service, &switch, "update_port", update(PORT, "access", 100, &[])).await;
    assert_eq!(tree(&switch), [format!("mstp interface {PORT} edge"), uplink.to_owned(), blocked]);
}

#[tokio::test]
async fn junos_is_not_told_to_guard_a_port_that_drops_bpdus() {
    const PORT: &str = "ge-0/0/1";
    let drops = format!("layer2-control bpdu-block interface {PORT} drop");
    let switch = start("juniper_junos", &format!("set protocols {drops}")).await;
    let service = site(&switch, "juniper_junos", "bpdu_guard = true\n").serve().await;
    let failure = service.call("update_port", update(PORT, "access", 100, &[])).await.unwrap_err();
    assert!(failure.message.contains("BPDU guard"), "{failure:?}");
    assert!(typed(&switch, 0).iter().all(|line| !line.starts_with("configure")), "{:#?}", switch.commands());
    assert_eq!(tree(&switch), [drops]);
}

#[tokio::test]
async fn an_edge_in_access_mode_only_is_none_for_a_trunk() {
    const NAME: &str = "GigabitEthernet0/1";
    let switch = start("cisco_ios", &format!("interface {NAME}\nspanning-tree portfast\nend")).await;
    let service = site(&switch, "cisco_ios", "stp_edge = true\n").serve().await;
    let tree = || {
        let port = section(&switch.running_config(), &format!("interface {NAME}"));
        port.into_iter().filter(|line| line.starts_with("spanning")).collect::<Vec<_>>()
    };
    assert_eq!(tree(), ["spanning-tree portfast"]);
    // What was there comes back with the rest.
    switch.fault(
        CliFault::once("^switchport mode trunk", CliWhat::Refuse("% Invalid input\n".to_owned())).unwrap(),
    );
    service.call("update_port", update(NAME, "trunk", 101, &[110])).await.unwrap_err();
    assert_eq!(tree(), ["spanning-tree portfast"]);
    applied(&service, &switch, "update_port", update(NAME, "trunk", 101, &[110])).await;
    assert_eq!(tree(), ["spanning-tree portfast trunk"]);
}

/// What SONiC's database holds of a port: its VLANs, its description and whether it is up.
fn in_database(switch: &CliSwitch, port: &str) -> (String, String, String) {
    let config: Value = serde_json::from_str(&switch.running_config()).unwrap();
    let members = config["VLAN_MEMBER"].as_object().unwrap().iter();
    let of_port = members.filter_map(|(key, member)| {
        let (vlan, member_port) = key.split_once('|')?;
        let mode = member["tagging_mode"].as_str().unwrap();
        (member_port == port).then(|| format!("{} {mode}", &vlan[4..]))
    });
    let text = |name: &str| config["PORT"][port][name].as_str().unwrap_or_default().to_owned();
    (of_port.collect::<Vec<_>>().join(", "), text("description"), text("admin_status"))
}

#[tokio::test]
async fn sonic_holds_what_was_asked() {
    const PORT: &str = "Ethernet4";
    let switch = start("sonic", "sudo config vlan add 20\nsudo config vlan member add -u 20 Ethernet8").await;
    let service = site(&switch, "sonic", "").serve().await;
    let held = |port: &str| in_database(&switch, port);
    let ours = |port: &str, mode: &str, native: Option<u16>, tagged: &[u16]| {
        and(update(port, mode, native, tagged), "description", DESCRIPTION)
    };
    let steps = [
        ("update_port", ours(PORT, "access", Some(100), &[]), ("100 untagged", DESCRIPTION, "up")),
        ("update_port", ours(PORT, "access", Some(101), &[]), ("101 untagged", DESCRIPTION, "up")),
        (
            "update_port",
            ours(PORT, "trunk", None, &[110, 111, 120]),
            ("110 tagged, 111 tagged, 120 tagged", DESCRIPTION, "up"),
        ),
        (
            "update_port",
            ours(PORT, "trunk", Some(100), &[110, 112]),
            ("100 untagged, 110 tagged, 112 tagged", DESCRIPTION, "up"),
        ),
        ("update_port", ours(PORT, "access", Some(150), &[]), ("150 untagged", DESCRIPTION, "up")),
        ("reset_port", reset(PORT, 150), ("", "", "down")),
        ("update_port", ours(PORT, "access", Some(100), &[]), ("100 untagged", DESCRIPTION, "up")),
        ("reset_port", and(reset(PORT, 150), "default_vlan", 199), ("199 untagged", "", "up")),
        ("detach_port", detach(PORT), ("", "", "down")),
    ];
    let other = held("Ethernet8");
    for (method, params, (members, description, admin)) in steps {
        applied(&service, &switch, method, params.clone()).await;
        let expected = (members.to_owned(), description.to_owned(), admin.to_owned());
        assert_eq!(held(PORT), expected, "{method} {params}\n{:#?}", switch.commands());
        assert_eq!(switch.startup_config(), switch.running_config(), "{method} {params}");
        // The same again configures nothing.
        let before = switch.commands().len();
        applied(&service, &switch, method, params.clone()).await;
        let again = typed(&switch, before);
        assert!(again.iter().all(|line| line.starts_with("show ")), "{method} {params}: {again:?}");
    }
    assert_eq!(held("Ethernet8"), other);
}

#[tokio::test]
async fn a_line_that_sonic_refuses_in_its_middle_is_taken_back() {
    const PORT: &str = "Ethernet4";
    // As newer releases keep it, and refuse tagged members for it.
    let switch = start("sonic", "sudo sonic-db-cli CONFIG_DB HSET 'PORT|Ethernet4' mode access").await;
    let service = site(&switch, "sonic", "").serve().await;
    applied(&service, &switch, "update_port", update(PORT, "access", 100, &[])).await;
    let before = in_database(&switch, PORT);
    let since = switch.commands().len();
    let failure = service.call("update_port", update(PORT, "trunk", 101, &[110])).await.unwrap_err();
    let lines = typed(&switch, since);
    assert!(
        failure.message.contains("Ethernet4 is in access mode!") && failure.message.contains("as before"),
        "{failure:?}"
    );
    assert_eq!(in_database(&switch, PORT), before, "{lines:#?}");
    // It went as far as to take the port out of its VLAN.
    assert!(lines.iter().any(|line| line == "sudo config vlan member add -u 100 Ethernet4"), "{lines:#?}");
}

#[tokio::test]
async fn connections_and_rights_that_sonic_takes_away() {
    const PORT: &str = "Ethernet4";
    let switch = start("sonic", "").await;
    let service = site(&switch, "sonic", "").serve().await;
    applied(&service, &switch, "update_port", update(PORT, "access", 100, &[])).await;
    let before = in_database(&switch, PORT);
    // Before the command reaches the switch, and with its answer.
    switch.fault(CliFault::once("member add -u 101 ", CliWhat::DropBefore).unwrap());
    let failure = service.call("update_port", update(PORT, "access", 101, &[])).await.unwrap_err();
    assert!(failure.message.contains("as before"), "{failure:?}");
    assert_eq!(in_database(&switch, PORT), before);
    switch.clear_faults();
    switch.fault(CliFault::once("member add -u 101 ", CliWhat::DropAfter).unwrap());
    applied(&service, &switch, "update_port", update(PORT, "access", 101, &[])).await;
    assert_eq!(in_database(&switch, PORT).0, "101 untagged");
    assert_eq!(switch.startup_config(), switch.running_config());
    // Who is not root is told so.
    let refusal = CliWhat::Refuse("sudo: a password is required\n".to_owned());
    switch.fault(CliFault::every("^sudo", refusal).unwrap());
    let before = in_database(&switch, PORT);
    let failure = service.call("update_port", update(PORT, "access", 100, &[])).await.unwrap_err();
    assert!(
        failure.message.contains("sudo: a password is required") && failure.message.contains("as before"),
        "{failure:?}"
    );
    assert_eq!(in_database(&switch, PORT), before);
}

/// Mercury died while the first line was on its way: that it is not there yet is no proof that it never comes.
#[tokio::test]
async fn what_may_still_come_is_not_told_as_taken_back() {
    const PORT: &str = "GigabitEthernet0/1";
    const LINE: &str = "switchport access vlan";
    let switch = start("cisco_ios", "vlan 100\nexit\n").await;
    let site = site(&switch, "cisco_ios", "");
    let service = site.serve().await;
    switch.fault(CliFault::once(LINE, CliWhat::HangBefore).unwrap());
    let change = service.start_call("update_port", update(PORT, "access", 100, &[]));
    while !switch.commands().iter().any(|command| command.line.starts_with(LINE)) {
        assert!(!change.is_finished());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    drop(service);
    change.abort();
    let mut service = site.serve().await;
    service.process.wait_for_output("left_in").await;
    let log = service.log();
    let told: Vec<&Value> = log.iter().filter(|event| !event["left_in"].is_null()).collect();
    assert!(told.iter().all(|event| event["outcome"] == "unknown"), "{told:?}");
}
