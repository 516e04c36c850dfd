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
    let unknown = types.profile("netmiko_new_os").unwrap_err();
    assert!(unknown.starts_with("no profile is called new_os, or is for"), "{unknown}");
    assert!(types.profile("older_os").is_err());
}
