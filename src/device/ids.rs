//! What callers call a device, and finding it by that.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use crate::device::{Device, Inventory, WordError};

/// A MAC address; equal in whatever notation it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

/// An OpenFlow datapath id, the other form of a switch id that Ironic takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatapathId(pub u64);

/// What else than its name a device is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Called {
    Mac(Mac),
    Datapath(DatapathId),
    Host(String),
}

/// Devices by what else they are called: every call names one, and there may be thousands.
#[derive(Debug, Default)]
pub struct Index(OnceLock<HashMap<Called, Arc<Device>>>);

impl Clone for Index {
    /// Empty: a copy of an inventory may get other devices.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Inventory {
    /// [`Inventory::find_link`] of a link without a host name.
    pub fn find(&self, switch_id: Option<&str>, switch_info: Option<&str>) -> Option<&Arc<Device>> {
        self.find_link(switch_id, switch_info, None)
    }

    /// The device that a link names: by `switch_id` (its MAC address in any notation, its datapath id,
    /// or its name), by its name in `switch_info`, or by the `hostname` of a smart NIC. None as well
    /// when two of them name different devices: a caller who contradicts himself must not get either.
    pub fn find_link(
        &self,
        switch_id: Option<&str>,
        switch_info: Option<&str>,
        hostname: Option<&str>,
    ) -> Option<&Arc<Device>> {
        let by_id = switch_id.and_then(|id| {
            if let Ok(mac) = id.parse() {
                return self.index().get(&Called::Mac(mac));
            }
            match id.parse() {
                Ok(datapath) => self.index().get(&Called::Datapath(datapath)),
                Err(_) => self.devices.get(id),
            }
        });
        let by_info = switch_info.and_then(|name| self.devices.get(name));
        let by_host = hostname.and_then(|name| self.index().get(&Called::Host(name.to_ascii_lowercase())));
        let mut found = [by_id, by_info, by_host].into_iter().flatten();
        let first = found.next()?;
        found.all(|other| other.name == first.name).then_some(first)
    }

    fn index(&self) -> &HashMap<Called, Arc<Device>> {
        self.index.0.get_or_init(|| {
            let mut index = HashMap::new();
            for device in self.devices.values() {
                let mac = device.mac_address.map(Called::Mac);
                let datapath = device.datapath_id.map(Called::Datapath);
                let hosts = device.hostnames.iter().cloned().map(Called::Host);
                for called in mac.into_iter().chain(datapath).chain(hosts) {
                    index.entry(called).or_insert_with(|| device.clone());
                }
            }
            index
        })
    }
}

impl FromStr for Mac {
    type Err = WordError;

    /// Twelve hexadecimal digits, bare or in equal groups of 2, 4 or 6 between `:`, `-` or `.`.
    fn from_str(text: &str) -> Result<Self, WordError> {
        let value = digits(text, 12).ok_or_else(|| WordError::Mac(text.to_owned()))?;
        let [_, _, bytes @ ..] = value.to_be_bytes();
        Ok(Self(bytes))
    }
}

impl FromStr for DatapathId {
    type Err = WordError;

    /// Sixteen hexadecimal digits, bare, after `0x`, or in groups as those of a MAC address.
    fn from_str(text: &str) -> Result<Self, WordError> {
        let bare = text.strip_prefix("0x").or(text.strip_prefix("0X")).unwrap_or(text);
        digits(bare, 16).map(Self).ok_or_else(|| WordError::DatapathId(text.to_owned()))
    }
}

/// So many hexadecimal digits, bare or in equal groups of 2, 4 or 6.
fn digits(text: &str, count: usize) -> Option<u64> {
    let separator = text.chars().find(|c| [':', '-', '.'].contains(c));
    let groups: Vec<&str> = separator.map_or(vec![text], |separator| text.split(separator).collect());
    let digits = groups.concat();
    let size = digits.len() / groups.len();
    let equal = groups.iter().all(|group| group.len() == size) && [2, 4, 6, count].contains(&size);
    if !equal || digits.len() != count || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(&digits, 16).ok()
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// As OpenFlow writes it: `0x` and sixteen digits.
impl fmt::Display for DatapathId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.0)
    }
}

/// A name that can also be a file's: letters, digits, `.`, `_` and `-`, at most 128 of them.
pub(crate) fn safe_name(text: &str) -> Result<String, String> {
    let safe = |c: char| c.is_ascii_alphanumeric() || ['.', '_', '-'].contains(&c);
    if text.is_empty() || text.len() > 128 || text.starts_with(['.', '-']) || !text.chars().all(safe) {
        return Err(format!(
            "\"{}\" is not a usable name: 1 to 128 letters, digits, `.`, `_` and `-`, first a letter, digit or `_`",
            text.escape_debug()
        ));
    }
    Ok(text.to_owned())
}

pub(super) fn device_name(text: &str) -> Result<String, String> {
    if text.parse::<Mac>().is_ok() {
        // `Inventory::find` would never get to it.
        return Err(format!("\"{text}\" is a MAC address; put it into mac_address and choose a name"));
    }
    if text.parse::<DatapathId>().is_ok() {
        return Err(format!("\"{text}\" is a datapath id; put it into datapath_id and choose a name"));
    }
    safe_name(text)
}

/// A host name in lower case, or an IP address in its one canonical form without brackets.
pub(super) fn host(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(text).parse::<IpAddr>()
        && (bare.is_none() || address.is_ipv6())
    {
        return Ok(address.to_canonical().to_string());
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || ['-', '_'].contains(&c))
    };
    // A last label of digits only is a mistyped IPv4 address (RFC 3696, section 2).
    let number = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if text.len() > 253 || number || !text.split('.').all(label) {
        return Err(format!("\"{text}\" is neither a host name nor an IP address"));
    }
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_one_form() {
        for (text, canonical) in [
            ("127.0.0.1", "127.0.0.1"),
            ("[2001:DB8::0:1]", "2001:db8::1"),
            ("::1", "::1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("Leaf1.Example.net", "leaf1.example.net"),
        ] {
            assert_eq!(host(text).as_deref(), Ok(canonical));
        }
        for bad in
            ["", ".", "a..b", "leaf1.", "10.0.0", "10.0.0.256", "[10.0.0.1]", "[::1", "a b", "-a", "a:830"]
        {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_can_be_file_names() {
        for good in ["leaf1", "Leaf_1.rack-2", "_x"] {
            assert!(device_name(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            ".leaf",
            "-leaf",
            "a/b",
            "a b",
            "ä",
            "a\0",
            "00:1c:73:aa:bb:01",
            "001c73aabb01",
            "0000001c73aabb01",
            "0x0000001c73aabb01",
        ] {
            assert!(device_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn macs_are_equal_in_any_notation() {
        let mac = Mac([0x00, 0x1c, 0x73, 0xaa, 0xbb, 0x01]);
        for text in [
            "00:1c:73:aa:bb:01",
            "00-1C-73-AA-BB-01",
            "001c.73aa.bb01",
            "001c-73aa-bb01",
            "001c73-aabb01",
            "001C73aabb01",
        ] {
            assert_eq!(text.parse(), Ok(mac), "{text}");
        }
        assert_eq!(mac.to_string(), "00:1c:73:aa:bb:01");
        for bad in [
            "",
            "00:1c:73:aa:bb",
            "00:1c:73:aa:bb:01:02",
            "00:1c:73:aa:bb:0g",
            "00:1c-73:aa:bb:01",
            "0:01c:73:aa:bb:01",
            "001c73aabb0",
            "00:1c:73:aa:bb:01\0",
            "éé:1c:73:aa:bb:01",
            "::::::",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }

    #[test]
    fn datapath_ids_are_equal_in_any_notation() {
        let id = DatapathId(0x0001_001c_73aa_bb01);
        for text in [
            "0001001c73aabb01",
            "0x0001001C73AABB01",
            "00:01:00:1c:73:aa:bb:01",
            "00-01-00-1c-73-aa-bb-01",
            "0001.001c.73aa.bb01",
        ] {
            assert_eq!(text.parse(), Ok(id), "{text}");
        }
        assert_eq!(id.to_string(), "0x0001001c73aabb01");
        for bad in ["", "0x", "1001c73aabb01", "00:1c:73:aa:bb:01", "0x00001001c73aabb01", "+001001c73aabb01"]
        {
            assert!(bad.parse::<DatapathId>().is_err(), "{bad}");
        }
    }
}
