//! The prompt of one device: its name and what follows it in each mode.

use crate::device::TerminalHabits;

/// Old systems cut the name short in some modes, but not shorter.
const LEAST_NAME: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prompt {
    /// As last seen.
    text: String,
    /// The line above it, where that tells the mode.
    heading: Option<String>,
    /// What is the same in all modes: the device's name.
    name: String,
    /// Whether the device ends the line when Enter is pressed.
    echoes_enter: bool,
}

impl Prompt {
    pub(super) fn new(line: &str, heading: Option<&str>, echoes_enter: bool) -> Self {
        let text = line.trim().to_owned();
        let name = inner(&text);
        let end = name.find(|c: char| "(>#$%]".contains(c) || c.is_whitespace());
        let name = name[..end.unwrap_or(name.len())].to_owned();
        Self { text, heading: heading.map(str::to_owned), name, echoes_enter }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What tells the mode.
    pub(super) fn mode(&self) -> &str {
        self.heading.as_deref().unwrap_or(&self.text)
    }

    pub(super) fn echoes_enter(&self) -> bool {
        self.echoes_enter
    }

    /// Notes the line it stands at now.
    pub(super) fn moved(&mut self, line: &str, heading: Option<&str>) {
        line.trim().clone_into(&mut self.text);
        self.heading = heading.map(str::to_owned);
    }

    /// Whether a line is this device's prompt, in whatever mode.
    pub(super) fn is(&self, line: &str, habits: &TerminalHabits) -> bool {
        habits.prompt.is_match(line) && self.is_named(line)
    }

    fn is_named(&self, line: &str) -> bool {
        let line = inner(line);
        if let Some((cut, _)) = self.name.char_indices().nth(LEAST_NAME) {
            return line.starts_with(&self.name[..cut]);
        }
        let rest = line.strip_prefix(&self.name);
        self.name.is_empty()
            || rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    }
}

/// A prompt without the brackets and marks before the name.
fn inner(text: &str) -> &str {
    text.trim_start_matches(|c: char| "<[{(~*!".contains(c) || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_stays_and_the_mode_changes() {
        for (first, others) in [
            ("switch>", &["switch#", "switch(config)#", "switch(config-if)# "][..]),
            ("<HUAWEI>", &["[HUAWEI]", "[~HUAWEI-GigabitEthernet0/0/1]", "[*HUAWEI]"]),
            ("user@host> ", &["user@host# "]),
            ("RP/0/RP0/CPU0:r1#", &["RP/0/RP0/CPU0:r1(config)#"]),
            ("root@sonic:~#", &["root@sonic:~# "]),
            ("a-switch-with-a-long-name#", &["a-switch-with-a-lon(config)#"]),
            ("switch [standalone: master] >", &["switch [standalone: master] (config) #"]),
            ("#", &["(config)#"]),
        ] {
            let prompt = Prompt::new(first, None, true);
            assert!(prompt.is_named(first));
            for other in others {
                assert!(prompt.is_named(other), "{first} {other}");
            }
        }
        for (first, other) in [("switch>", "switch2>"), ("switch>", "my-switch>"), ("sw#", "sw_1#")] {
            assert!(!Prompt::new(first, None, true).is_named(other), "{first} {other}");
        }
    }
}
