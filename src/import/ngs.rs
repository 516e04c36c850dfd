//! The configuration of networking-generic-switch: `[genericswitch:NAME]` sections.

use super::ini::{Entry, Section};
use super::take::Take;
use super::{DeviceTypes, Imported, Remark, devices};
use crate::config::reader::Source;
use crate::device::PortRename;

const PREFIX: &str = "genericswitch:";

/// What happens to an option that has no counterpart.
#[derive(Clone, Copy)]
enum Fate {
    /// Nothing is lost: it is about something that Mercury does differently, or always.
    Moot(&'static str),
    /// Something is lost unless the value is this one, which stands for what happens anyway.
    Unless(&'static str, &'static str),
    Lost(&'static str),
}

const L2VNI: Fate = Fate::Lost("VXLAN networks are not configured");
const FAKE: Fate = Fate::Lost("there is no such device; `mercury simulate` has faults and latencies");
const MTU: Fate = Fate::Lost("an MTU is set only where the call brings one");
const RESTCONF: Fate = Fate::Lost("RESTCONF is not spoken");
const POOLED: Fate = Fate::Moot("sessions are kept open and shared, calls for one switch go out together");
const TIMED: Fate = Fate::Moot("[limits] request_timeout bounds the whole call");

/// The options of release 10.2.0 that become no setting.
const OTHERS: &[(&str, Fate)] = &[
    ("allow_agent", Fate::Moot("no agent is asked")),
    ("hostkey_verify", Fate::Unless("true", "host keys are always checked")),
    ("device_params", Fate::Moot("what the switch's hello says counts")),
    ("ngs_ssh_disabled_algorithms", Fate::Lost("a profile only adds algorithms to the modern ones")),
    ("ngs_ssh_connect_timeout", TIMED),
    ("ngs_ssh_connect_interval", TIMED),
    ("ngs_commit_timeout", TIMED),
    ("ngs_commit_interval", TIMED),
    ("ngs_ssh_reuse_connection", POOLED),
    ("ngs_batch_requests", POOLED),
    ("ngs_switchport_mode", Fate::Unless("access", "the mode follows from the call")),
    ("ngs_network_name_format", Fate::Unless("{network_id}", "the caller names a network")),
    ("ngs_security_groups_enabled", Fate::Unless("false", "there are no security groups")),
    ("ngs_netconf_target", Fate::Moot("the switch's hello says whether there is a candidate")),
    ("ngs_netconf_save_config", Fate::Lost("running is copied to startup where there is one")),
    ("ngs_netconf_confirmed_commit", Fate::Unless("true", "a profile's `confirm` can turn it off")),
    ("ngs_netconf_confirmed_commit_timeout", TIMED),
    ("ngs_openconfig_network_instance", Fate::Unless("default", "a profile's `network_instance` names it")),
    ("ngs_openconfig_disabled_properties", Fate::Lost("a property is written only where the call brings it")),
    ("ngs_manage_mtu", Fate::Unless("false", "an MTU is set only where the call brings one")),
    ("ngs_port_default_mtu", MTU),
    ("ngs_trunk_port_mtu", MTU),
    ("ngs_bounce_ports_on_plug", Fate::Unless("false", "a port is never bounced")),
    ("ngs_verify_tls", RESTCONF),
    ("ngs_restconf_scheme", RESTCONF),
    ("ngs_restconf_content_type", RESTCONF),
    ("ngs_restconf_base_path", RESTCONF),
    ("ngs_fake_sleep_min_s", FAKE),
    ("ngs_fake_sleep_max_s", FAKE),
    ("ngs_fake_failure_prob", FAKE),
    ("ngs_evpn_vni_config", Fate::Unless("false", "VXLAN networks are not configured")),
    ("ngs_bgp_asn", L2VNI),
    ("ngs_bum_replication_mode", L2VNI),
    ("ngs_mcast_group_base", L2VNI),
    ("ngs_mcast_group_increment", L2VNI),
    ("ngs_mcast_group_map", L2VNI),
    ("ngs_vxlan_interface", L2VNI),
    ("vxlan_interface", L2VNI),
    ("ngs_evpn_route_target", L2VNI),
    ("ngs_her_flood_list", L2VNI),
    ("ngs_physnet_her_flood", L2VNI),
    ("ngs_vtep_name", L2VNI),
    ("vtep_name", L2VNI),
    ("ngs_nve_interface", L2VNI),
    ("ngs_ovs_bridge", L2VNI),
];

/// The devices of the file that `source` is the text of.
pub(crate) fn import(source: Source, types: &DeviceTypes) -> Vec<Imported> {
    devices(source, PREFIX, |section, name| device(source, section, name, types))
}

fn device(source: Source, section: &Section, name: &str, types: &DeviceTypes) -> Imported {
    let mut take = Take::new(source, section, name);
    take.device_type(types);
    // The CLI drivers say ip, the others host; the connection library takes both.
    let address = if take.has("ip") { "ip" } else { "host" };
    take.text(address, "address");
    take.number("port", "port");
    take.text("username", "username");
    let key_file = if take.has("key_filename") { "key_filename" } else { "key_file" };
    use_keys(&mut take, key_file);
    take.login(key_file);
    take.enable_secret("secret");
    take.switch_id("ngs_mac_address");
    limits(&mut take, types);
    ports(&mut take);
    spanning_tree(&mut take, types);
    if let Some((entry, saves)) = take.truth("ngs_save_configuration") {
        take.set("save", if saves { "each" } else { "never" }, &entry.span);
    }
    take.number("ngs_max_connections", "sessions");

    let (mut imported, left) = take.finish();
    imported.remarks.extend(left.into_iter().filter_map(fate));
    imported
}

/// Without a key file, false is what happens anyway.
fn use_keys(take: &mut Take, key_file: &str) {
    let has_key = take.has(key_file);
    match take.truth("use_keys") {
        Some((entry, true)) if has_key => take.remark(entry, "a key file is always used", false),
        Some((entry, false)) if has_key => take.remark(entry, "the key file is used all the same", true),
        Some((entry, true)) => take.remark(entry, "keys are not looked for, only a key file is used", true),
        Some((_, false)) | None => {}
    }
}

fn limits(take: &mut Take, types: &DeviceTypes) {
    // Empty blocks all, and absent allows all; the latter is for `[inventory]` to say.
    if let Some((entry, vlans)) = take.list("ngs_allowed_vlans") {
        take.set("allowed_vlans", vlans.join(","), &entry.span);
    }
    if let Some((entry, ports)) = take.list("ngs_allowed_ports") {
        let exact = |port: &str| match port.strip_prefix("re:") {
            Some(_) => format!("re:{}", regex::escape(port)),
            None => port.to_owned(),
        };
        take.set("allowed_ports", ports.into_iter().map(exact).collect::<Vec<_>>(), &entry.span);
    }
    // On unless said otherwise, which ours is not.
    match take.truth("ngs_manage_vlans") {
        Some((entry, manages)) => take.set("manage_vlans", manages, &entry.span),
        None => take.set("manage_vlans", true, &take.span()),
    }
    let cannot_read = take.profile(types).is_some_and(|profile| profile.speaks.not_read().is_some());
    for (option, key) in [("ngs_trunk_ports", "trunk_ports"), ("ngs_physical_networks", "physical_networks")]
    {
        if let Some((entry, names)) = take.list(option) {
            if key == "trunk_ports" && !names.is_empty() && cannot_read {
                take.remark(
                    entry,
                    "the system never tells what its uplinks carry: they are left alone",
                    true,
                );
                continue;
            }
            take.set(key, names, &entry.span);
        }
    }
}

/// Asked of a system that has no words for it, it is left out there, too.
fn spanning_tree(take: &mut Take, types: &DeviceTypes) {
    let (can_edge, can_guard) = take.profile(types).map_or((true, true), |profile| profile.spanning_tree());
    for (option, key, can) in
        [("ngs_port_stp_edge", "stp_edge", can_edge), ("ngs_port_bpdu_guard", "bpdu_guard", can_guard)]
    {
        match take.truth(option) {
            Some((entry, true)) if !can => {
                take.remark(
                    entry,
                    "the profile has no words for it, and the spanning tree is left alone",
                    true,
                );
            }
            Some((entry, wanted)) => take.set(key, wanted, &entry.span),
            None => {}
        }
    }
}

fn ports(take: &mut Take) {
    let default = take.option("ngs_port_default_vlan");
    let disable = take.truth("ngs_disable_inactive_ports");
    match (default, disable) {
        (Some(vlan), disable) => {
            take.set("on_detach", format!("quarantine:{}", vlan.value), &vlan.span);
            take.set("idle_vlans", vlan.value.as_str(), &vlan.span);
            if let Some((entry, true)) = disable {
                take.remark(
                    entry,
                    "a port is left either in a VLAN or disabled; here it is in the VLAN",
                    true,
                );
            }
        }
        (None, Some((entry, true))) => take.set("on_detach", "disable", &entry.span),
        (None, Some((entry, false))) => {
            take.remark(entry, "a port that is left in no VLAN is disabled", true);
        }
        (None, None) => {}
    }
    if let Some(entry) = take.option("ngs_port_id_re_sub") {
        match substitution(&entry.value) {
            Some((pattern, rewrite)) => {
                let rule = toml::Table::from_iter([
                    ("match".to_owned(), pattern.into()),
                    ("rewrite".to_owned(), rewrite.into()),
                ]);
                take.set("port_names", vec![toml::Value::Table(rule)], &entry.span);
            }
            None => take.remark(
                entry,
                "not a substitution that can be translated; see [[device.port_names]]",
                true,
            ),
        }
    }
}

/// Python's `{"pattern": ..., "repl": ...}` as a pattern and a replacement of ours.
fn substitution(json: &str) -> Option<(String, String)> {
    let json: serde_json::Value = serde_json::from_str(json).ok()?;
    let (pattern, python) = (json.get("pattern")?.as_str()?, json.get("repl")?.as_str()?);
    let mut rewrite = String::new();
    let mut rest = python.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '$' => rewrite.push_str("$$"),
            '\\' => match rest.next()? {
                '\\' => rewrite.push('\\'),
                'g' => {
                    let name: String =
                        rest.by_ref().skip_while(|c| *c == '<').take_while(|c| *c != '>').collect();
                    rewrite.push_str(&format!("${{{name}}}"));
                }
                digit @ '1'..='9' => {
                    let mut number = digit.to_string();
                    number.extend(rest.next_if(char::is_ascii_digit));
                    rewrite.push_str(&format!("${{{number}}}"));
                }
                _ => return None,
            },
            other => rewrite.push(other),
        }
    }
    PortRename::new(pattern, &rewrite).ok()?;
    Some((pattern.to_owned(), rewrite))
}

fn fate(entry: &Entry) -> Option<Remark> {
    let known = OTHERS.iter().find(|(option, _)| *option == entry.key).map(|(_, fate)| *fate);
    let (why, lost) = match known {
        Some(Fate::Unless(usual, _)) if entry.value.eq_ignore_ascii_case(usual) || entry.value.is_empty() => {
            return None;
        }
        Some(Fate::Unless(_, why) | Fate::Lost(why)) => (why, true),
        Some(Fate::Moot(why)) => (why, false),
        None => ("not an option of networking-generic-switch; it went to the connection library", true),
    };
    Some(Remark { option: entry.key.clone(), span: entry.span.clone(), why, lost })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pythons_substitutions_are_translated() {
        for (json, pattern, rewrite) in [
            (r#"{"pattern": "Ethernet", "repl": "eth"}"#, "Ethernet", "eth"),
            (r#"{"pattern": "^Eth(\\d)/(\\d)$", "repl": "E\\1-\\2x"}"#, r"^Eth(\d)/(\d)$", "E${1}-${2}x"),
            (r#"{"pattern": "(?P<n>\\d)", "repl": "\\g<n>0$\\\\"}"#, r"(?P<n>\d)", r"${n}0$$\"),
            (r#"{"pattern": "a", "repl": ""}"#, "a", ""),
        ] {
            assert_eq!(substitution(json), Some((pattern.to_owned(), rewrite.to_owned())), "{json}");
        }
        for bad in [
            "",
            "{}",
            r#"{"pattern": "a"}"#,
            r#"{"pattern": "(?=a)", "repl": "b"}"#,
            r#"{"pattern": "a", "repl": "\\1"}"#,
            r#"{"pattern": "a", "repl": "\\n"}"#,
            r#"{"pattern": "a", "repl": "\\"}"#,
        ] {
            assert_eq!(substitution(bad), None, "{bad}");
        }
    }
}
