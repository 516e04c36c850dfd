//! Lists of ports as configurations write them.

/// The longest range that is believed.
const MOST: u32 = 1024;

/// The ports of `ethe 1/1/3 to 1/1/5 ethe 1/1/7`: names are words with a digit, other words say what
/// kind they are of. A range counts the last number. Also of `g(1-3,6)`, and of `ethernet 1/1-1/4`.
pub(super) fn listed(text: &str) -> Result<Vec<String>, String> {
    if text.contains('(') {
        return bracketed(text).ok_or_else(|| format!("no list of ports: {text:?}"));
    }
    let (kind, last) = text.trim().rsplit_once(' ').unwrap_or(("", text.trim()));
    if let Some((first, last)) = last.split_once('-') {
        let ports = range(first, last).ok_or_else(|| format!("no range of ports: {text:?}"))?;
        // The names of such a system are its kinds and numbers together.
        return Ok(ports.iter().map(|port| format!("{kind} {port}").trim_start().to_owned()).collect());
    }
    let has_digit = |word: &&str| word.contains(|c: char| c.is_ascii_digit());
    let words = text.split([' ', ',']).filter(|word| *word == "to" || has_digit(word));
    let mut ports: Vec<String> = Vec::new();
    let mut is_range = false;
    for word in words {
        match (word, is_range) {
            ("to", false) if !ports.is_empty() => is_range = true,
            ("to", _) => return Err(format!("no list of ports: {text:?}")),
            (word, true) => {
                let first = ports.pop().unwrap_or_default();
                ports.extend(range(&first, word).ok_or_else(|| format!("no range of ports: {text:?}"))?);
                is_range = false;
            }
            (word, false) => ports.push(word.to_owned()),
        }
    }
    match is_range {
        true => Err(format!("no list of ports: {text:?}")),
        false => Ok(ports),
    }
}

/// `1/e(1-3,6),1/g2`: what stands before a bracket is before each number in it.
fn bracketed(text: &str) -> Option<Vec<String>> {
    let mut ports = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find(['(', ',']).unwrap_or(rest.len());
        let (before, list) = rest.split_at(end);
        let after = match list.strip_prefix('(') {
            None => {
                ports.push(before.to_owned());
                list
            }
            Some(list) => {
                let (list, after) = list.split_once(')')?;
                for item in list.split(',') {
                    let (first, last) = item.split_once('-').unwrap_or((item, item));
                    ports.extend(range(&format!("{before}{first}"), &format!("{before}{last}"))?);
                }
                after
            }
        };
        rest = if after.is_empty() { after } else { after.strip_prefix(',')? };
    }
    Some(ports)
}

/// `1/1/3` to `1/1/5`.
fn range(first: &str, last: &str) -> Option<Vec<String>> {
    let parts = |name: &str| {
        let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let (before, number) = name.split_at(name.len() - digits);
        Some((before.to_owned(), number.parse::<u32>().ok()?))
    };
    let ((before, from), (same, to)) = (parts(first)?, parts(last)?);
    let is_range = before == same && from <= to && to - from < MOST;
    is_range.then(|| (from..=to).map(|number| format!("{before}{number}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_in_brackets() {
        assert_eq!(listed("g(1-3,6)").unwrap(), ["g1", "g2", "g3", "g6"]);
        assert_eq!(listed("1/e(47-48),1/g2,2/g(1)").unwrap(), ["1/e47", "1/e48", "1/g2", "2/g1"]);
        for wrong in ["g(1-3", "g(3-1)", "g()", "g(1)g(2)", "g(1-)", "g(x)", "g(1-9999)", "g(1-3)x"] {
            assert!(listed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_range_with_a_dash_keeps_its_kind() {
        assert_eq!(listed("ethernet 1/13-1/14").unwrap(), ["ethernet 1/13", "ethernet 1/14"]);
        assert_eq!(listed("ethernet 1/15/1-1/15/2").unwrap(), ["ethernet 1/15/1", "ethernet 1/15/2"]);
        assert_eq!(listed("mlag-port-channel 8-9").unwrap(), ["mlag-port-channel 8", "mlag-port-channel 9"]);
        assert_eq!(listed("1/g1-1/g2").unwrap(), ["1/g1", "1/g2"]);
        for wrong in
            ["ethernet 1/14-1/13", "ethernet 1/1-1/2,1/4", "ethernet 1/1-2/2", "ethernet 1-", "1-9999"]
        {
            assert!(listed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_list_is_every_port_of_its_ranges() {
        let list = listed("ethe 1/1/3 to 1/1/5 ethe 2/1/1 ").unwrap();
        assert_eq!(list, ["1/1/3", "1/1/4", "1/1/5", "2/1/1"]);
        assert_eq!(listed("ethe 9 to 10 ethe 16").unwrap(), ["9", "10", "16"]);
        assert!(listed("").unwrap().is_empty());
        for wrong in ["ethe 1/1/1 to 1/2/4", "ethe 1/1/4 to 1/1/1", "to 1/1/1", "ethe 1/1/1 to", "1 to 9999"]
        {
            assert!(listed(wrong).is_err(), "{wrong}");
        }
    }
}
