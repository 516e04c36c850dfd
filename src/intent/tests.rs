use super::*;

#[test]
fn names_that_could_inject_are_refused() {
    assert!(PortName::new("Ethernet1/1", "port_name").is_ok());
    assert!(PortName::new("port with space", "port_name").is_ok());
    for bad in [
        " eth48",
        "eth48 ",
        "\u{a0}eth48",
        "",
        "eth1\nno shutdown",
        "eth1\0",
        "a'b\"c",
        "\u{85}x",
        "\u{ffff}",
        "a\u{fdd0}",
        &"x".repeat(256),
    ] {
        let error = PortName::new(bad, "port_name").unwrap_err();
        assert!(error.to_string().starts_with("port_name: "), "{error}");
    }
}

#[test]
fn our_descriptions_are_told_by_form() {
    assert!(Description::is_ours("Ironic Port 5a8ab2ee-94d0-4b0f-a9a2-4b5b0a9a3f6d"));
    for theirs in ["Ironic Port of the old lab", "uplink", "Ironic Port "] {
        assert!(!Description::is_ours(theirs), "{theirs}");
    }
}

static NAMES: ParameterNames = ParameterNames {
    device: "device",
    port: "port",
    vlan: "vlan",
    tagged: "tagged",
    default_vlan: "default_vlan",
    description: "description",
    physical_network: "physical_network",
};

/// Allows 100-110 and, as default VLAN, 900; eth48 is protected.
fn request(intent: Intent, on_detach: &str) -> Request {
    let mut device = crate::device::sample("leaf1");
    device.allowed_vlans = "100-110".parse().unwrap();
    device.idle_vlans = "900".parse().unwrap();
    device.protected_ports = vec!["eth48".parse().unwrap()];
    device.on_detach = on_detach.parse().unwrap();
    Request {
        intent,
        device: Arc::new(device),
        physical_network: None,
        caller: Caller::default(),
        names: &NAMES,
        level: 0,
    }
}

fn vlan(id: i64) -> VlanId {
    VlanId::new(id).unwrap()
}

fn attach(port: &str, vlans: PortVlans, default_vlan: Option<i64>) -> Intent {
    let port = PortName::new(port, "port").unwrap();
    let default_vlan = default_vlan.map(vlan);
    Intent::Attach(Attach { port, vlans, description: None, mtu: None, enabled: None, default_vlan })
}

fn trunk(native: Option<i64>, tagged: &str) -> PortVlans {
    PortVlans::Trunk { native: native.map(vlan), tagged: tagged.parse().unwrap() }
}

fn detach(default_vlan: Option<i64>) -> Intent {
    let port = PortName::new("eth1", "port").unwrap();
    Intent::Detach(Detach { port, default_vlan: default_vlan.map(vlan) })
}

#[test]
fn the_operators_limits_name_the_parameter() {
    let access = |id| PortVlans::Access { vlan: vlan(id) };
    for (intent, refused) in [
        (attach("eth1", access(100), None), None),
        (
            attach("eth1", access(111), None),
            Some("vlan: VLAN 111 is not allowed on leaf1 (allowed: 100-110)"),
        ),
        (attach("eth48", access(100), None), Some("port: port `eth48` of leaf1 is protected")),
        (attach("eth1", trunk(Some(100), "101,110"), None), None),
        (attach("eth1", trunk(Some(99), "101"), None), Some("vlan: VLAN 99")),
        (attach("eth1", trunk(None, "109-111"), None), Some("tagged: VLAN 111")),
        (attach("eth1", trunk(None, ""), None), Some("tagged: a trunk needs")),
        // An idle VLAN is one to be left in, unless the caller says that this is that.
        (attach("eth1", access(900), None), Some("vlan: VLAN 900")),
        (attach("eth1", access(900), Some(900)), None),
        (attach("eth1", access(100), Some(5)), None),
        (detach(None), None),
        (detach(Some(900)), None),
        (detach(Some(100)), None),
        (detach(Some(5)), Some("default_vlan: VLAN 5 is not allowed on leaf1 (allowed: 100-110,900)")),
    ] {
        let found = request(intent.clone(), "disable").check().map_err(|error| error.to_string());
        match refused {
            None => assert_eq!(found, Ok(()), "{intent:?}"),
            Some(start) => {
                assert!(found.as_ref().is_err_and(|f| f.starts_with(start)), "{intent:?}: {found:?}")
            }
        }
    }
}

#[test]
fn what_may_be_written_is_what_was_asked() {
    let writable = |intent, on_detach| {
        let request = request(intent, on_detach);
        let leaves = request.writable_leaves().into_iter();
        let leaves = leaves.map(|(leaf, value)| format!("{leaf}={}", value.unwrap_or_default()));
        format!("{} {}", request.writable_vlans(), leaves.collect::<Vec<_>>().join(" "))
    };
    let access = || attach("eth1", PortVlans::Access { vlan: vlan(100) }, Some(900));
    assert_eq!(writable(access(), "disable"), "100 enabled=true interface-mode=ACCESS");
    assert_eq!(writable(access(), "quarantine:900"), "100 interface-mode=ACCESS");
    let both = attach("eth1", trunk(Some(100), "101-103"), None);
    assert_eq!(writable(both, "quarantine:900"), "100-103 interface-mode=TRUNK");
    assert_eq!(writable(detach(None), "disable"), " description= enabled=false interface-mode=");
    assert_eq!(writable(detach(None), "quarantine:900"), "900 description= interface-mode=ACCESS");
    assert_eq!(writable(detach(Some(105)), "disable"), "105 description= interface-mode=ACCESS");
}
