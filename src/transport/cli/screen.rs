//! What a terminal would show of a stream of bytes, as lines.

use regex::Regex;

const ESCAPE: char = '\u{1b}';
/// Where a device may put its cursor: far enough for any line, near enough to hold.
const MOST_COLUMNS: usize = 1 << 12;
/// Parameters of an escape sequence; a longer one is none.
const MOST_PARAMETERS: usize = 64;
const IAC: u8 = 0xff;

/// A terminal of endless width that has no rows: lines that are complete, and the last one.
#[derive(Debug, Default)]
pub(super) struct Screen {
    complete: String,
    line: Vec<char>,
    column: usize,
    /// Something was written over: what is left of it at the end is blank.
    rewritten: bool,
    /// What a pager wrote on this line, which is no output.
    pager: Option<String>,
    /// The line above a prompt, which is none either.
    above: Option<Regex>,
    /// The last that came.
    heading: Option<String>,
    state: State,
    /// The beginning of a character that has not come in full.
    rest: Vec<u8>,
    garbled: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Text,
    Escape,
    /// Between an escape's intermediate byte and its last.
    Intermediate,
    /// ECMA-48 5.4, with the parameters so far.
    Control(String),
    /// A title or another string for the terminal itself; whether it may be about to end.
    Command(bool),
}

impl Screen {
    /// What `bytes` show.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut screen = Self::default();
        screen.feed(bytes);
        screen
    }

    /// An empty one, where such lines above a prompt are part of it.
    pub(super) fn below(above: Option<Regex>) -> Self {
        Self { above, ..Self::default() }
    }

    /// Begins anew with these bytes.
    pub(super) fn restart(&mut self, bytes: &[u8]) {
        *self = Self::below(self.above.take());
        self.feed(bytes);
    }

    /// The line above the prompt, if one has come.
    pub(super) fn heading(&self) -> Option<&str> {
        self.heading.as_deref()
    }

    /// Whether what stands above a prompt has come, where something does.
    pub(super) fn is_headed(&self) -> bool {
        self.above.is_none() || self.heading.is_some()
    }

    /// The lines that are complete, each with its `\n`.
    pub(super) fn complete(&self) -> &str {
        &self.complete
    }

    /// The last of them with something in it; none: there is none. Some systems put an empty line
    /// before each prompt.
    pub(super) fn last_complete(&self) -> Option<&str> {
        self.complete[self.start_of_last()..].lines().next()
    }

    /// Where that line begins.
    fn start_of_last(&self) -> usize {
        let filled = self.complete.trim_end();
        filled.rfind('\n').map_or(0, |end| end + 1)
    }

    /// The line that has no end yet. None: too long to mean anything but output.
    pub(super) fn line(&self) -> Option<String> {
        (self.line.len() <= MOST_COLUMNS).then(|| self.line.iter().collect())
    }

    /// How much it holds: a cursor can be sent far by few bytes.
    pub(super) fn size(&self) -> usize {
        self.complete.len() + self.line.len()
    }

    /// Whether bytes were replaced that are no UTF-8.
    pub(super) fn garbled(&self) -> bool {
        self.garbled
    }

    /// Ends the line, as if the device had.
    pub(super) fn end_line(&mut self) {
        let mut line: String = self.line.drain(..).collect();
        if self.rewritten {
            line.truncate(line.trim_end().len());
        }
        (self.column, self.rewritten) = (0, false);
        // Some devices leave it there and go on in the next line.
        if let Some(rest) = self.pager.take().and_then(|pager| line.strip_prefix(&pager).map(str::to_owned)) {
            if rest.trim().is_empty() {
                return;
            }
            line = rest;
        }
        if self.above.as_ref().is_some_and(|above| above.is_match(&line)) {
            self.heading = Some(line);
            return;
        }
        self.complete.push_str(&line);
        self.complete.push('\n');
    }

    /// Notes that the line is a pager's.
    pub(super) fn paged(&mut self) {
        self.pager = self.line().map(|line| line.trim_end().to_owned());
    }

    /// Forgets all complete lines but the last, and empty ones behind it.
    pub(super) fn forget(&mut self) {
        self.complete.drain(..self.start_of_last());
    }

    /// Takes the last complete line away, and empty ones behind it.
    pub(super) fn drop_last_complete(&mut self) {
        self.complete.truncate(self.start_of_last());
    }

    /// Takes the first complete line away.
    pub(super) fn drop_first_complete(&mut self) {
        let end = self.complete.find('\n').map_or(0, |end| end + 1);
        self.complete.drain(..end);
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let joined;
        let mut bytes = if self.rest.is_empty() {
            bytes
        } else {
            joined = [std::mem::take(&mut self.rest).as_slice(), bytes].concat();
            &joined
        };
        loop {
            let error = match std::str::from_utf8(bytes) {
                Ok(text) => return text.chars().for_each(|c| self.take(c)),
                Err(error) => error,
            };
            let (valid, after) = bytes.split_at(error.valid_up_to());
            String::from_utf8_lossy(valid).chars().for_each(|c| self.take(c));
            let wrong = match (after, error.error_len()) {
                // A telnet option (RFC 854) or the beginning of one.
                ([IAC] | [IAC, 0xfb..=0xfe], _) | (_, None) => {
                    self.rest = after.to_vec();
                    return;
                }
                ([IAC, 0xfb..=0xfe, ..], _) => 3,
                ([IAC, 0xf0..=0xfa, ..], _) => 2,
                (_, Some(length)) => {
                    self.garbled = true;
                    self.take(char::REPLACEMENT_CHARACTER);
                    length
                }
            };
            bytes = &after[wrong..];
        }
    }

    fn take(&mut self, c: char) {
        match (&mut self.state, c) {
            // Whatever it is in, a line's end ends it: nothing may hide what comes after.
            (State::Text, '\n') => self.end_line(),
            (_, '\n') => {
                self.state = State::Text;
                self.end_line();
            }
            (State::Command(true), _) | (State::Command(false), '\u{7}') => self.state = State::Text,
            (State::Command(ending), _) => *ending = c == ESCAPE,
            (_, ESCAPE) => self.state = State::Escape,
            (State::Text, '\u{9b}') => self.state = State::Control(String::new()),
            (State::Text, '\r') => self.column = 0,
            (State::Text, '\u{8}') => self.column = self.column.saturating_sub(1),
            (State::Text, '\t') => self.put(c),
            (State::Text, c) if c.is_control() => {}
            (State::Text, c) => self.put(c),
            (State::Escape, '[') => self.state = State::Control(String::new()),
            (State::Escape, ']' | 'P' | 'X' | '^' | '_') => self.state = State::Command(false),
            (State::Escape, ' '..='/') => self.state = State::Intermediate,
            (State::Escape, 'D' | 'E') => {
                self.state = State::Text;
                self.end_line();
            }
            (State::Escape | State::Intermediate, _) => self.state = State::Text,
            (State::Control(parameters), ' '..='?') if parameters.len() < MOST_PARAMETERS => {
                parameters.push(c);
            }
            (State::Control(parameters), _) => {
                let parameters = std::mem::take(parameters);
                self.state = State::Text;
                self.control(&parameters, c);
            }
        }
    }

    /// A control sequence (ECMA-48 8.3), as far as it concerns one line.
    fn control(&mut self, parameters: &str, last: char) {
        // What is that long is no line that is being edited, and each edit would cost its length.
        let edits = self.line.len() <= 2 * MOST_COLUMNS;
        if !edits || !parameters.chars().all(|c| c.is_ascii_digit() || c == ';') {
            return;
        }
        let number = |n: usize, absent: usize| match parameters.split(';').nth(n) {
            None | Some("" | "0") => absent,
            Some(digits) => digits.parse().unwrap_or(MOST_COLUMNS).min(MOST_COLUMNS),
        };
        let end = self.line.len();
        match last {
            'D' => self.column = self.column.saturating_sub(number(0, 1)),
            'C' => self.column = (self.column + number(0, 1)).min(end.max(MOST_COLUMNS)),
            'G' | '`' => self.column = number(0, 1) - 1,
            'H' | 'f' => self.column = number(1, 1) - 1,
            'K' | 'J' => {
                let blanked = match number(0, 0) {
                    0 => self.column.min(end)..end,
                    1 => 0..(self.column + 1).min(end),
                    _ => 0..end,
                };
                self.blank(blanked);
            }
            'X' => self.blank(self.column.min(end)..(self.column + number(0, 1)).min(end)),
            'P' => drop(self.line.drain(self.column.min(end)..(self.column + number(0, 1)).min(end))),
            '@' if self.column < end => {
                let blanks = std::iter::repeat_n(' ', number(0, 1));
                self.line.splice(self.column..self.column, blanks);
            }
            _ => {}
        }
    }

    fn blank(&mut self, range: std::ops::Range<usize>) {
        self.rewritten = true;
        if range.end == self.line.len() {
            self.line.truncate(range.start);
        } else {
            self.line[range].fill(' ');
        }
    }

    fn put(&mut self, c: char) {
        if self.column < self.line.len() {
            self.rewritten = true;
            self.line[self.column] = c;
        } else {
            self.line.resize(self.column, ' ');
            self.line.push(c);
        }
        self.column += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Complete lines and the last one, however the bytes are cut.
    fn shown(bytes: &[u8]) -> String {
        let whole = Screen::of(bytes);
        let all = format!("{}{}", whole.complete(), whole.line().unwrap());
        for at in 0..=bytes.len() {
            let mut parts = Screen::of(&bytes[..at]);
            parts.feed(&bytes[at..]);
            assert_eq!(format!("{}{}", parts.complete(), parts.line().unwrap()), all);
        }
        all
    }

    #[test]
    fn ends_of_lines() {
        assert_eq!(shown(b"a\r\nb\n\rc\r\r\nd\n\ne"), "a\nb\nc\nd\n\ne");
        assert_eq!(shown("\u{fc}\u{4e2d}\n".as_bytes()), "\u{fc}\u{4e2d}\n");
        assert_eq!(shown(b"one  \ntwo\x1bEthree"), "one  \ntwo\nthree");
    }

    #[test]
    fn what_was_erased_is_gone() {
        assert_eq!(shown(b"shoq\x08w\n"), "show\n");
        assert_eq!(
            shown(b"--More--\x08\x08\x08\x08\x08\x08\x08\x08        \x08\x08\x08\x08\x08\x08\x08\x08up\n"),
            "up\n"
        );
        assert_eq!(shown(b" --More-- \r          \rvlan 1\n"), "vlan 1\n");
        assert_eq!(shown(b"--More--\x1b[2K\rvlan 1\n"), "vlan 1\n");
        assert_eq!(shown(b"---- More ----\x1b[42D                  \x1b[42Dvlan 1\n"), "vlan 1\n");
        assert_eq!(shown(b"abcdef\x1b[3D\x1b[K\n"), "abc\n");
        assert_eq!(shown(b"abc\x1b[2D\x1b[Pd\n"), "ad\n");
        assert_eq!(shown(b"abc\r\x1b[2@xy\n"), "xyabc\n");
        assert_eq!(shown(b"\x08\x08ab\x1b[99Dc\n"), "cb\n");
    }

    #[test]
    fn what_is_not_text_is_left_out() {
        assert_eq!(shown(b"\x1b]0;title\x07\x1b[?2004h\x1b[1;32msw#\x1b[0m \x1b(B\x1b=\x00\x07"), "sw# ");
        assert_eq!(shown(b"\x1b[24;1Hsw# \x1b[24;1H\x1b[24;5H"), "sw# ");
        assert_eq!(shown(b"\xff\xfb\x01\xff\xfd\x18a\xff\xf1b"), "ab");
        // A sequence without an end hides nothing but its own line.
        assert_eq!(shown(b"\x1b]0;never\nsw#"), "\nsw#");
        assert_eq!(shown(b"a\x1b[12\nsw#"), "a\nsw#");
    }

    #[test]
    fn what_is_no_utf8_is_named() {
        assert_eq!(shown(b"a\xe4b\n\xff"), "a\u{fffd}b\n");
        assert!(Screen::of(b"a\xe4b").garbled() && !Screen::of(b"a\xff\xfb\x01\xc3\xa4").garbled());
    }

    #[test]
    fn a_device_cannot_make_it_large() {
        let screen = Screen::of(b"\x1b[99999999999999999999Cx\x1b[4294967295Gy\x1b[0G\x1b[65535@");
        assert!(screen.line.len() <= 3 * MOST_COLUMNS);
        assert_eq!(Screen::of(&vec![b'x'; MOST_COLUMNS + 1]).line(), None);
    }

    #[test]
    fn complete_lines_can_be_let_go() {
        let mut screen = Screen::of(b"a\nb\n\nc");
        assert_eq!(screen.last_complete(), Some("b"));
        screen.forget();
        assert_eq!(screen.complete(), "b\n\n");
        screen.drop_last_complete();
        assert_eq!((screen.complete(), screen.last_complete()), ("", None));
        screen.drop_last_complete();
        screen.forget();
        screen.drop_first_complete();
        let mut screen = Screen::of(b"\na\nb\n");
        screen.drop_first_complete();
        assert_eq!(screen.complete(), "a\nb\n");
    }
}
