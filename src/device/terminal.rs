//! How a system's command line behaves on a terminal, from a profile's `[cli.terminal]`.

use regex::Regex;

use crate::config::reader::{Item, Table};
use crate::device::WordError;
use crate::device::ports::last_line;

/// How a command line is spoken to. Patterns are searched for in one line, without what follows it.
#[derive(Clone, Debug)]
pub struct TerminalHabits {
    /// The last line while it waits for a command, in any mode.
    pub prompt: Regex,
    /// The line above it that is shown with it and tells the mode; none: the prompt is one line.
    pub above: Option<Regex>,
    /// Prompts of modes that may configure; none: every one.
    pub privileged: Option<Regex>,
    /// Prompts of a configuration mode; none: there is no such mode.
    pub configuring: Option<Regex>,
    /// Enters a privileged mode.
    pub enable: Option<String>,
    /// What then asks for the enable secret.
    pub secret_question: Option<Regex>,
    /// What the terminal asks before there is a prompt, where SSH lets everybody in; none: nothing.
    pub login: Option<LoginQuestions>,
    /// What to say after the login, in this order.
    pub setup: Vec<Setup>,
    /// Enters the configuration mode; there if `configuring` is.
    pub configure: Option<String>,
    /// Leaves the configuration mode from wherever in it; there if `configuring` is.
    pub leave: Option<String>,
    /// What stops long output until a key is pressed.
    pub pager: Option<Regex>,
    /// What the Enter key sends.
    pub enter: &'static str,
    pub questions: Vec<Question>,
    /// Characters in a line of the terminal.
    pub width: u32,
}

/// How a terminal asks who logs in. Each is answered once.
#[derive(Clone, Debug)]
pub struct LoginQuestions {
    pub user: Regex,
    pub password: Regex,
}

/// One command after the login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    pub command: String,
    /// Whether the device may refuse it: written with a `?` before it.
    pub optional: bool,
}

/// A question that a command may ask, and its one answer. It answers once a command.
#[derive(Clone, Debug)]
pub struct Question {
    /// The commands that may ask it; the login is the empty command.
    pub after: Regex,
    pub pattern: Regex,
    /// Without the Enter.
    pub answer: String,
}

const WIDTH: u32 = 511;

impl TerminalHabits {
    /// Reads `[cli.terminal]`.
    pub fn read(table: &Table) -> Option<Self> {
        let pattern = |key| table.get(key).and_then(|item| line_pattern(&item));
        let word = |key| table.get(key).and_then(|item| item.filled_text());
        let prompt = table.required("prompt").and_then(|item| line_pattern(&item));
        let above = pattern("above");
        let privileged = pattern("privileged");
        let configuring = pattern("configuring");
        let enable = word("enable");
        let secret_question = pattern("secret_question");
        let login = table.table("login", |table| {
            let asked = |key| table.required(key).and_then(|item| line_pattern(&item));
            let (user, password) = (asked("user"), asked("password"));
            Some(LoginQuestions { user: user?, password: password? })
        });
        let setup = table.get("setup").and_then(|item| item.list(setup));
        let configure = word("configure");
        let leave = word("leave");
        let pager = pattern("pager");
        let enter = table
            .get("enter")
            .map_or(Some("\n"), |item| item.choice(&[("LF", "\n"), ("CR", "\r"), ("CRLF", "\r\n")]));
        let width = table.get("width").map_or(Some(WIDTH), |item| item.integer(40..=4096));
        let mut questions = Vec::new();
        table.tables("questions", |table| questions.extend(question(table)));

        let together = |keys: &[&'static str]| {
            if keys.iter().any(|key| table.get(key).is_some()) {
                keys.iter().for_each(|key| drop(table.required(key)));
            }
        };
        together(&["configuring", "configure", "leave"]);
        for key in ["enable", "secret_question"] {
            if table.get(key).is_some() && table.get("privileged").is_none() {
                table.refuse(key, "goes with `privileged`");
            }
        }
        if secret_question.is_some() && table.get("enable").is_none() {
            table.refuse("secret_question", "goes with `enable`");
        }
        Some(Self {
            prompt: prompt?,
            above,
            privileged,
            configuring,
            enable,
            secret_question,
            login,
            setup: setup.unwrap_or_default(),
            configure,
            leave,
            pager,
            enter: enter?,
            questions,
            width: width?,
        })
    }
}

/// `?` and a command that may be refused, or a command.
fn setup(item: &Item) -> Option<Setup> {
    let text = item.filled_text()?;
    let (optional, command) = match text.strip_prefix('?') {
        Some(command) => (true, command.trim().to_owned()),
        None => (false, text),
    };
    if command.is_empty() {
        item.refuse("is empty");
        return None;
    }
    Some(Setup { command, optional })
}

fn question(table: &Table) -> Option<Question> {
    let after = table.required("after").and_then(|item| item.read(compiled));
    let pattern = table.required("match").and_then(|item| line_pattern(&item));
    let answer = table.required("answer").and_then(|item| item.text());
    Some(Question { after: after?, pattern: pattern?, answer: answer?.to_owned() })
}

/// A pattern that finds something: one that an empty line fits would be found before the device
/// has said anything.
fn line_pattern(item: &Item) -> Option<Regex> {
    let pattern = item.read(compiled)?;
    if pattern.is_match("") {
        item.refuse("fits an empty line");
        return None;
    }
    Some(pattern)
}

fn compiled(text: &str) -> Result<Regex, WordError> {
    Regex::new(text).map_err(|error| WordError::Regex(last_line(&error.to_string())))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::reader::{Problems, read_text};

    fn read(text: &str) -> Result<TerminalHabits, String> {
        let problems = Problems::default();
        let habits = read_text(Path::new("p.toml"), text, &problems, TerminalHabits::read);
        problems.finish(habits).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_whole_table() {
        let habits = read(
            r#"
            prompt = '^[\w.-]+(\([^)]*\))?[>#]\s*$'
            privileged = '#\s*$'
            configuring = '\(config[^)]*\)#\s*$'
            enable = "enable"
            secret_question = '^[Pp]assword:\s*$'
            login = { user = '^User Name:\s*$', password = '^Password:\s*$' }
            setup = ["terminal length 0", "? terminal width 511"]
            configure = "configure terminal"
            leave = "end"
            pager = '--More--'
            enter = "CR"
            width = 200
            [[questions]]
            after = '^copy '
            match = '\?\s*$'
            answer = ""
            "#,
        )
        .unwrap();
        assert!(habits.prompt.is_match("sw(config-if)#") && habits.enter == "\r" && habits.width == 200);
        let setup: Vec<_> =
            habits.setup.iter().map(|setup| (setup.command.as_str(), setup.optional)).collect();
        assert_eq!(setup, [("terminal length 0", false), ("terminal width 511", true)]);
        let login = habits.login.unwrap();
        assert!(login.user.is_match("User Name:") && login.password.is_match("Password: "));
        assert!(habits.questions[0].after.is_match("copy a b") && habits.questions[0].answer.is_empty());
    }

    #[test]
    fn what_may_be_left_out() {
        let habits = read("prompt = '[$]\\s*$'").unwrap();
        assert!(habits.privileged.is_none() && habits.configuring.is_none() && habits.setup.is_empty());
        assert!(habits.login.is_none());
        assert_eq!((habits.enter, habits.width), ("\n", 511));
    }

    #[test]
    fn every_mistake_is_named_with_its_place() {
        for (text, mistake) in [
            ("", "p.toml:1:1: prompt: missing"),
            ("prompt = '['", "p.toml:1:10: prompt: not a regular expression: unclosed character class"),
            ("prompt = '#*$'", "p.toml:1:10: prompt: fits an empty line"),
            ("prompt = '#'\npager = ''", "p.toml:2:9: pager: fits an empty line"),
            ("prompt = '#'\nenter = 'lf'", "enter: expected \"LF\", \"CR\", \"CRLF\", found \"lf\""),
            ("prompt = '#'\nwidth = 10", "width: 10 is outside 40 to 4096"),
            ("prompt = '#'\nsetup = ['? ']", "setup[0]: is empty"),
            ("prompt = '#'\nconfigure = 'c'\nleave = 'end'", "configuring: missing"),
            ("prompt = '#'\nenable = 'en'", "p.toml:2:10: enable: goes with `privileged`"),
            ("prompt = '#'\nprivileged='#'\nsecret_question = ':'", "goes with `enable`"),
            ("prompt = '#'\nlogin = { user = 'x' }", "login.password: missing"),
            ("prompt = '#'\nlogin = { user = '', password = 'x' }", "login.user: fits an empty line"),
            ("prompt = '#'\n[[questions]]\nmatch = 'x'\nanswer = 'y'", "questions[0]: after: missing"),
            (
                "prompt = '#'\n[[questions]]\nafter = '^$'\nmatch = ''\nanswer = ''",
                "match: fits an empty line",
            ),
            ("prompt = '#'\npromt = '#'", "promt: unknown key; did you mean `prompt`?"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(mistake), "{error}");
        }
    }
}
