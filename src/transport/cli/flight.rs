//! Several commands as one, where the device's shell can tell what each of them printed.

use super::shell::Output;
use crate::device::cli::Together;

/// The commands as one: each runs if the one before it succeeded.
pub(super) fn as_one(commands: &[String], together: &Together) -> String {
    commands.join(&together.between)
}

/// What each command printed that came to its end, in their order. The last is not among them when
/// the whole was refused, and none is when nothing says how far it came.
pub(super) fn apart(output: &Output, together: &Together, is_refused: bool) -> Vec<String> {
    if is_refused && output.status.is_none_or(|status| status == 0) {
        return Vec::new();
    }
    let mut texts = vec![String::new()];
    for line in output.text.lines() {
        match texts.last_mut() {
            Some(text) if line != together.line => {
                text.push_str(line);
                text.push('\n');
            }
            _ => texts.push(String::new()),
        }
    }
    texts.truncate(texts.len() - usize::from(is_refused));
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_printed_is_told_apart() {
        let together = Together { between: " && echo -- && ".to_owned(), line: "--".to_owned() };
        let commands = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(as_one(&commands, &together), "a && echo -- && b && echo -- && c");
        let output =
            |text: &str, status| Output { text: text.to_owned(), status: Some(status), ..Output::default() };
        assert_eq!(apart(&output("--\n1\n --\n--\n2\n", 0), &together, false), ["", "1\n --\n", "2\n"]);
        assert_eq!(apart(&output("1\n", 0), &together, false), ["1\n"]);
        // The second was refused, or the first.
        assert_eq!(apart(&output("1\n--\n2\n", 1), &together, true), ["1\n"]);
        assert!(apart(&output("1\n", 1), &together, true).is_empty());
        // It complained and ended well: which of them did is not known.
        assert!(apart(&output("1\n--\n2\n", 0), &together, true).is_empty());
    }
}
