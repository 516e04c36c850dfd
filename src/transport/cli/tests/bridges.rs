//! Systems where a VLAN on a port is a subinterface in a bridge: what two commands say is one state, or
//! none.

use crate::device::{Profiles, Speaks};
use crate::openconfig::PortState;
use crate::transport::cli::understood;

/// What a profile makes of these outputs, one for each of its reads of ports: mode, access VLAN, native
/// VLAN and list of a port.
fn read(profile: &str, port: &str, outputs: &[&str]) -> Result<String, String> {
    let found = Profiles::default().get(profile).unwrap();
    let Speaks::Cli(habits) = &found.speaks else { panic!("{profile} has no command line") };
    let rules: Vec<_> = habits.reads.iter().filter(|rule| !rule.of_table).collect();
    assert_eq!(rules.len(), outputs.len());
    let outputs: Vec<_> = rules.into_iter().zip(outputs.iter().copied()).collect();
    let slice = understood(&outputs, None, &found, habits)?;
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
