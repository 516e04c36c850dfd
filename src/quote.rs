//! Words that are not ours, in messages and log lines.

/// A caller's own words for a message or a log line: short, and no control character survives.
pub fn quoted(text: &str) -> String {
    const LIMIT: usize = 64;
    let short: String = text.chars().take(LIMIT).collect();
    let more = if text.chars().nth(LIMIT).is_some() { "..." } else { "" };
    format!("`{}{more}`", short.escape_debug())
}
