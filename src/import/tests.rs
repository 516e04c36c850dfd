use std::collections::BTreeMap;

use super::DeviceTypes;
use crate::device::{Profile, Profiles};

#[test]
fn a_device_type_leads_to_the_profile_of_its_name() {
    let mut profiles = Profiles::default();
    let mut site = Profile::clone(&profiles.get("netconf_openconfig").unwrap());
    site.aliases = ["old_os".to_owned(), "netmiko_older_os".to_owned()].into();
    for name in ["site_os", "other_os"] {
        site.name = name.to_owned();
        profiles.insert(site.clone());
        site.aliases.clear();
    }
    let chosen = BTreeMap::from([("netmiko_other_os".to_owned(), "netconf_openconfig".to_owned())]);
    let types = DeviceTypes { profiles: &profiles, chosen };
    for (device_type, profile) in [
        ("site_os", "site_os"),
        ("netmiko_site_os", "site_os"),
        ("old_os", "site_os"),
        ("netmiko_old_os", "site_os"),
        ("netmiko_older_os", "site_os"),
        ("other_os", "other_os"),
        ("netmiko_other_os", "netconf_openconfig"),
    ] {
        assert_eq!(types.profile(device_type).as_deref(), Ok(profile), "{device_type}");
    }
    let chosen = BTreeMap::from([("other_os".to_owned(), "site_os".to_owned())]);
    let bare = DeviceTypes { profiles: &profiles, chosen };
    assert_eq!(bare.profile("netmiko_other_os").as_deref(), Ok("site_os"));
    assert_eq!(bare.profile("netmiko_old_os").as_deref(), Ok("site_os"));
    let unknown = types.profile("netmiko_new_os").unwrap_err();
    assert!(unknown.starts_with("no profile is called new_os, or is for"), "{unknown}");
    assert!(types.profile("older_os").is_err());
}

/// What networking-generic-switch 10.2 drives, by its own names.
#[test]
fn the_device_types_of_others_lead_to_profiles() {
    let profiles = Profiles::default();
    let types = DeviceTypes { profiles: &profiles, chosen: BTreeMap::new() };
    for device_type in [
        "netconf_openconfig",
        "netmiko_arista_eos",
        "netmiko_aruba_aoscx",
        "netmiko_brocade_fastiron",
        "netmiko_cisco_ios",
        "netmiko_cisco_nxos",
        "netmiko_cisco_s300",
        "netmiko_cumulus",
        "netmiko_cumulus_nvue",
        "netmiko_dell_enterprise_sonic",
        "netmiko_dell_force10",
        "netmiko_dell_os10",
        "netmiko_dell_powerconnect",
        "netmiko_hp_comware",
        "netmiko_hpe_comware",
        "netmiko_huawei",
        "netmiko_huawei_vrpv8",
        "netmiko_juniper",
        "netmiko_mellanox_mlnxos",
        "netmiko_nokia_srl",
        "netmiko_ovs_linux",
        "netmiko_pluribus",
        "netmiko_ruijie",
        "netmiko_sonic",
        "netmiko_supermicro_smis",
    ] {
        let profile = types.profile(device_type).unwrap_or_else(|why| panic!("{why}"));
        assert!(profiles.get(&profile).is_ok(), "{device_type}");
    }
}
