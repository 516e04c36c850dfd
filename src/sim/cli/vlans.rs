//! Lists of VLANs as command lines write them.

use std::collections::BTreeSet;

/// All VLANs that there are.
pub(super) fn all() -> BTreeSet<u16> {
    (1..=4094).collect()
}

/// `1,5-9`; none: that is no list of VLANs.
pub(super) fn parse(text: &str) -> Option<BTreeSet<u16>> {
    let mut set = BTreeSet::new();
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let plain =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let (from, to): (u16, u16) = (plain(from)?, plain(to)?);
        if from < 1 || to > 4094 || from > to {
            return None;
        }
        set.extend(from..=to);
    }
    Some(set)
}

/// `1,5-9`; two neighbours are a list or a range, as the device writes them.
pub(super) fn text(set: &BTreeSet<u16>, pair_is_range: bool) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for vlan in set {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *vlan => *last = *vlan,
            _ => ranges.push((*vlan, *vlan)),
        }
    }
    let shown = |(from, to): &(u16, u16)| match to - from {
        0 => from.to_string(),
        1 if !pair_is_range => format!("{from},{to}"),
        _ => format!("{from}-{to}"),
    };
    ranges.iter().map(shown).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let set = parse("10,20-22,5,30-31").unwrap();
        assert_eq!(text(&set, false), "5,10,20-22,30,31");
        assert_eq!(text(&set, true), "5,10,20-22,30-31");
        for bad in ["", "0", "4095", "9-5", "a", "1,", "+1", "1 ,2"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
