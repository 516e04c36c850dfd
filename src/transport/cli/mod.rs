//! Command lines over SSH.
//!
//! `shell` is what runs one command at a time and takes all that it prints: on a channel of its
//! own (`exec`).

mod exec;
mod shell;

pub use exec::ExecShell;
pub use shell::{Output, Shell};
