//! Systems where a VLAN on a port is a subinterface in a bridge: what two commands say is one state, or
//! none.

use crate::device::{Profiles, Speaks};
use crate::openconfig::PortState;
use crate::transport::understood;

/// What a profile makes of these outputs, one for each of its reads of ports: mode, access VLAN, native
/// VLAN and list of a port.
fn read(profile: &str, port: &str, outputs: &[&str]) -> Result<String, String> {
    let found = Profiles::default().get(profile).unwrap();
    let language = found.speaks.language().unwrap();
    let rules: Vec<_> = language.reads.iter().filter(|rule| !rule.of_table).collect();
    assert_eq!(rules.len(), outputs.len());
    let outputs: Vec<_> = rules.into_iter().zip(outputs.iter().copied()).collect();
    let slice = understood(&outputs, None, &found, language)?;
    let Some(state) = PortState::of(&slice, port) else { return Ok("not there".to_owned()) };
    let mode = state.mode.map_or("none", |mode| mode.as_str());
    let vlan = |vlan: Option<crate::vlan::VlanId>| vlan.map_or("-".to_owned(), |vlan| vlan.to_string());
    let list = state.vlans.map_or("-".to_owned(), |list| list.to_string());
    Ok(format!("{mode} {} {} {list}", vlan(state.access), vlan(state.native)))
}

#[test]
fn sr_linux_shows_a_state_where_subinterfaces_and_bridges_agree() {
    const BRIEF: &str = "| ethernet-1/1 | enable | up | 25G | | |\n| ethernet-1/2 | disable | down | | | |\n";
    let lines = |lines: &str, prefix: &str| {
        let line = |line: &str| format!("set / {prefix}{line}\n");
        lines.split("; ").filter(|line| !line.is_empty()).map(line).collect::<String>()
    };
    let read = |interface: &str, bridges: &str| {
        let interface = lines(interface, "interface ethernet-1/1 ");
        read("nokia_srl", "ethernet-1/1", &[&interface, &lines(bridges, "network-instance "), BRIEF])
    };
    let tagged = |id: u16, tag: u16| {
        format!("subinterface {id} type bridged; subinterface {id} vlan encap single-tagged vlan-id {tag}")
    };
    let untagged = "subinterface 0 type bridged; subinterface 0 vlan encap untagged";
    let native = "subinterface 4095 type bridged; subinterface 4095 vlan encap untagged";
    let (on, hundred, nine) = ("vlan-tagging true", tagged(100, 100), tagged(9, 9));
    let member = |bridge: &str, id: u16| format!("{bridge} interface ethernet-1/1.{id}");
    for (interface, bridges, state) in [
        ("admin-state enable".to_owned(), String::new(), "none - - -"),
        (format!("{on}; {untagged}"), member("mac-vrf-7", 0), "ACCESS 7 - -"),
        (
            format!("{on}; {hundred}; subinterface 100 admin-state enable"),
            member("mac-vrf-100", 100),
            "TRUNK - - 100",
        ),
        (
            // Each command has its own order.
            format!("{on}; {nine}; {hundred}; {native}"),
            format!(
                "{}; {}; {}",
                member("mac-vrf-100", 100),
                member("mac-vrf-7", 4095),
                member("mac-vrf-9", 9)
            ),
            "TRUNK - 7 9,100",
        ),
        (format!("{on}; {native}"), member("mac-vrf-7", 4095), "TRUNK - 7 "),
        ("subinterface 0 ipv4 admin-state enable".to_owned(), member("default", 0), "not there"),
        (
            "vlan-tagging true; subinterface 3 type routed; subinterface 3 acl x".to_owned(),
            String::new(),
            "not there",
        ),
    ] {
        assert_eq!(read(&interface, &bridges), Ok(state.to_owned()), "{interface}\n{bridges}");
    }
    for (interface, bridges, why) in [
        (format!("{on}; {}", tagged(100, 101)), member("mac-vrf-100", 100), "have the tags"),
        (format!("{on}; {hundred}"), member("mac-vrf-101", 100), "in the bridges of"),
        (format!("{on}; {hundred}"), member("MAC-VRF-100", 100), "in network-instance MAC-VRF-100"),
        (format!("{on}; {hundred}"), member("mac-vrf-100", 100) + " x", "in network-instance mac-vrf-100"),
        (format!("{on}; {hundred}"), String::new(), "in no bridge"),
        (on.to_owned(), member("mac-vrf-100", 100), "in no bridge, or is none"),
        (format!("{on}; subinterface 100 type bridged"), member("mac-vrf-100", 100), "no encapsulation"),
        (
            format!("{on}; {untagged}"),
            member("mac-vrf-7", 0) + "; " + &member("mac-vrf-8", 0),
            "in no bridge, or is none",
        ),
        (
            format!("{on}; {untagged}; {nine}"),
            member("mac-vrf-7", 0) + "; " + &member("mac-vrf-9", 9),
            "an access VLAN besides",
        ),
        (
            format!("{on}; {untagged}; {native}"),
            member("mac-vrf-7", 0) + "; " + &member("mac-vrf-8", 4095),
            "an access VLAN besides",
        ),
        (hundred.clone(), member("mac-vrf-100", 100), "without vlan-tagging"),
        (format!("vlan-tagging false; {untagged}"), member("mac-vrf-7", 0), "without vlan-tagging"),
        (
            format!("{on}; {hundred}; subinterface 100 admin-state disable"),
            member("mac-vrf-100", 100),
            "is not ours",
        ),
        (format!("{on}; {hundred}; subinterface 3 type routed"), member("mac-vrf-100", 100), "an address"),
        (
            format!(
                "{on}; subinterface 5 vlan encap single-tagged-range low-vlan-id 5 high-vlan-id 9; {hundred}"
            ),
            member("mac-vrf-100", 100),
            "is not ours",
        ),
    ] {
        let error = read(&interface, &bridges).unwrap_err();
        assert!(error.starts_with("port ethernet-1/1: ") && error.contains(why), "{error}");
    }
}

#[test]
fn ios_xr_shows_a_state_where_subinterfaces_and_bridge_domains_agree() {
    const BRIEF: &str = "TenGigE0/0/2/0      unassigned      Up      Up       default\n";
    let read = |interface: &str, domains: &str| {
        let lines = |lines: &str, prefix: &str| {
            let line = |line: &str| format!("{prefix}{line}\n");
            lines.split("; ").filter(|line| !line.is_empty()).map(line).collect::<String>()
        };
        let domains = match domains {
            "" => "Mon Jun  3 08:00:00.000 UTC\n% No such configuration item(s)\n".to_owned(),
            domains => lines(domains, "l2vpn "),
        };
        read(
            "cisco_iosxr",
            "TenGigE0/0/2/0",
            &[&lines(interface, "interface TenGigE0/0/2/0"), &domains, BRIEF],
        )
    };
    let tagged = |id: u16, tag: u16| {
        format!(
            ".{id} l2transport; .{id} l2transport encapsulation dot1q {tag}; \
             .{id} l2transport rewrite ingress tag pop 1 symmetric"
        )
    };
    let untagged = |id: u16| format!(".{id} l2transport; .{id} l2transport encapsulation untagged");
    let member = |domain: &str, id: u16| {
        format!(
            "bridge group vlans bridge-domain {domain}; bridge group vlans bridge-domain {domain} interface TenGigE0/0/2/0.{id}"
        )
    };
    for (interface, domains, state) in [
        (" shutdown".to_owned(), String::new(), "none - - -"),
        (untagged(4095), member("vlan7", 4095), "ACCESS 7 - -"),
        (tagged(100, 100), member("vlan100", 100), "TRUNK - - 100"),
        (
            format!("{}; {}; {}", tagged(9, 9), tagged(100, 100), untagged(4096)),
            format!("{}; {}; {}", member("vlan100", 100), member("vlan7", 4096), member("vlan9", 9)),
            "TRUNK - 7 9,100",
        ),
        (untagged(4096), member("vlan7", 4096), "TRUNK - 7 "),
        (" ipv4 address 192.0.2.1 255.255.255.0".to_owned(), String::new(), "not there"),
        (
            ".12 encapsulation dot1q 12; .12 ipv4 address 192.0.2.1 255.255.255.0".to_owned(),
            String::new(),
            "not there",
        ),
    ] {
        assert_eq!(read(&interface, &domains), Ok(state.to_owned()), "{interface}\n{domains}");
    }
    let hundred = tagged(100, 100);
    for (interface, domains, why) in [
        (tagged(100, 101), member("vlan100", 100), "have the tags"),
        (hundred.clone(), member("vlan101", 100), "in the bridge domains of"),
        (hundred.clone(), member("blue", 100), "which is not ours"),
        (
            hundred.clone(),
            "xconnect group a p2p b interface TenGigE0/0/2/0.100".to_owned(),
            "which is not ours",
        ),
        (hundred.clone(), String::new(), "in no bridge domain"),
        (".100 l2transport".to_owned(), member("vlan100", 100), "has no encapsulation"),
        (hundred.replace("pop 1", "pop 2"), member("vlan100", 100), "which is not ours"),
        (".100 l2transport encapsulation dot1q 100".to_owned(), member("vlan100", 100), "keeps its tag"),
        (
            format!("{}; {hundred}", untagged(4095)),
            format!("{}; {}", member("vlan7", 4095), member("vlan100", 100)),
            "an access VLAN besides",
        ),
        (
            format!("{hundred}; .12 ipv4 address 192.0.2.1 255.255.255.0"),
            member("vlan100", 100),
            "an address besides",
        ),
        (
            " l2transport".to_owned(),
            "bridge group vlans bridge-domain vlan7 interface TenGigE0/0/2/0".to_owned(),
            "as a whole",
        ),
        (format!("{hundred}; .100 l2transport mtu 9216"), member("vlan100", 100), "which is not ours"),
    ] {
        let error = read(&interface, &domains).unwrap_err();
        assert!(error.starts_with("port TenGigE0/0/2/0: ") && error.contains(why), "{error}\n{interface}");
    }
}

#[test]
fn what_is_not_configured_is_no_refusal_on_ios_xr() {
    let found = Profiles::default().get("cisco_iosxr").unwrap();
    let Speaks::Cli(habits) = &found.speaks else { panic!("it has a command line") };
    let is_refused = |line: &str| habits.refusals.iter().any(|refusal| refusal.is_match(line));
    assert!(!is_refused("% No such configuration item(s)"));
    for line in [
        "% Invalid input detected at '^' marker.",
        "% Not allowed",
        "% Nothing",
        "% No match",
        "% Failed to commit",
        "%x",
    ] {
        assert!(is_refused(line), "{line}");
    }
}
