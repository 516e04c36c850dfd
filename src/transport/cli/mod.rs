//! Command lines over SSH.
//!
//! `shell` is what runs one command at a time and takes all that it prints: on a channel of its
//! own (`exec`), or typed at a prompt (`terminal`, after its `login`). Below the latter: `wire`
//! reads and writes, `screen` turns bytes into lines, `echo` and `prompt` tell where an answer
//! begins and ends.

mod echo;
mod exec;
mod login;
mod prompt;
mod screen;
mod shell;
mod terminal;
mod wire;

#[cfg(test)]
mod tests;

pub use exec::ExecShell;
pub use login::Refused;
pub use shell::{Output, Shell};
pub use terminal::Terminal;
