//! The echo of a command at the beginning of its answer.

use super::screen::Screen;

/// Lines before the echo: what the device said while we typed.
const MOST_BEFORE: usize = 16;
/// Less of a command than this could be part of an answer as well.
const LEAST_SCROLLED: usize = 8;

/// Where the answer begins: behind the line that holds the whole command as it was typed at
/// `prompt`, and nothing else. None: no such line has come yet.
pub(super) fn end_of_echo(bytes: &[u8], command: &str, prompt: &str) -> Option<usize> {
    let mut start = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n').take(MOST_BEFORE) {
        let shapes = [
            (&[prompt, command][..], false),
            (&[command], false),
            (&[prompt, command], true),
            (&[command], true),
        ];
        let length = shapes.iter().find_map(|(words, twice)| typed(&bytes[start..], words, *twice));
        if let Some(length) = length {
            return Some(start + length);
        }
        start += line.len();
        if line.ends_with(b"\n") && is_redrawn(line, command, prompt) {
            return Some(start);
        }
    }
    None
}

/// The length of what shows `words`, then the end of a line, when what moves the cursor is passed
/// over: what wraps a long line puts it anywhere. `twice`: it draws a character to get to the next
/// line, returns, and draws it again.
fn typed(bytes: &[u8], words: &[&str], twice: bool) -> Option<usize> {
    let mut expected = words.iter().flat_map(|word| word.bytes()).filter(|byte| *byte != b' ').peekable();
    let mut at = 0;
    let mut drawn = None;
    while let Some(byte) = bytes.get(at) {
        match (byte, expected.peek()) {
            (b'\n', None) => return Some(at + 1),
            (0x1b, _) => at += escape(&bytes[at..]),
            (0xff, _) => at += 3,
            (b'\r', _) if twice && drawn.is_some() && bytes.get(at + 1) == drawn => at += 2,
            (0..=b' ' | 0x7f, _) => at += 1,
            (byte, Some(next)) if byte == next => {
                drawn = Some(byte);
                expected.next();
                at += 1;
            }
            _ => return None,
        }
    }
    None
}

/// The length of an escape sequence.
fn escape(bytes: &[u8]) -> usize {
    match bytes.get(1) {
        Some(b'[') => {
            let parameters = bytes[2..].iter().take_while(|byte| (b' '..=b'?').contains(byte)).count();
            2 + parameters + 1
        }
        Some(_) => 2,
        None => 1,
    }
}

/// Whether a line shows the command once all that was drawn over is gone; of one that is too long
/// for the terminal, the end behind a mark.
fn is_redrawn(line: &[u8], command: &str, prompt: &str) -> bool {
    let screen = Screen::of(line);
    let shown = screen.complete().trim();
    let shown = shown.strip_prefix(prompt).unwrap_or(shown).trim();
    let scrolled = |shown: &str| {
        shown.len() >= LEAST_SCROLLED && shown.len() < command.len() && command.ends_with(shown)
    };
    shown == command.trim() || shown.strip_prefix(['$', '<']).is_some_and(scrolled)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMAND: &str = "switchport trunk allowed vlan 100,200,300";

    fn answer(bytes: &[u8], command: &str) -> Option<String> {
        let end = end_of_echo(bytes, command, "sw(config-if)#")?;
        Some(String::from_utf8_lossy(&bytes[end..]).into_owned())
    }

    #[test]
    fn echoes_in_many_shapes() {
        let plain = format!("{COMMAND}\r\nok");
        let prompt_again = format!("\rsw(config-if)# {COMMAND}\r\nok");
        let stale = format!("\r\nsw(config-if)#{COMMAND}\r\nok");
        let spoken_over = format!("\r\n%LINK-3-UPDOWN: eth1\r\nsw(config-if)#{COMMAND}\r\nok");
        let coloured = format!("\x1b[1m{COMMAND}\x1b[0m\x1b[K\r\r\nok");
        let telnet = format!("\0{COMMAND}\0\r\0\nok");
        for bytes in [plain, prompt_again, stale, spoken_over, coloured, telnet] {
            assert_eq!(answer(bytes.as_bytes(), COMMAND).as_deref(), Some("ok"), "{bytes:?}");
        }
        for bytes in [
            &b"switchport trunk allowed \r\nvlan 100,200,300\r\nok"[..],
            b"switchport trunk allowed v \rlan 100,200,300\r\nok",
            b"switchport trunk allowed v\rvlan 100,200,3\r300\r\nok",
            b"switchport trunk allowed v \x08lan 100,200,300\r\nok",
            b"switchport tru\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x1b[K$ort trunk allowed vlan 100,200,300\r\nok",
            b"switchport tru\rsw(config-if)#$allowed vlan 100,200,300\r\nok",
            b"switchqq\x08 \x08\x08 \x08port trunk allowed vlan 100,200,300\r\nok",
        ] {
            assert_eq!(answer(bytes, COMMAND).as_deref(), Some("ok"), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_echo() {
        for bytes in
            ["", "show", "show version", "show version 2\nx\n", "!Command: show version\n", "a\nb\n", "\nsw#"]
        {
            assert_eq!(answer(bytes.as_bytes(), "show version"), None, "{bytes:?}");
        }
        assert_eq!(answer(b"$0,200,300\r\n", COMMAND), Some(String::new()));
        // Too little of it.
        assert_eq!(answer(b"$200,300\r\n", COMMAND), None);
        assert_eq!(answer("x\n".repeat(17).as_bytes(), "x y"), None);
    }
}
