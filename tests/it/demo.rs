//! What a newcomer meets first: the demo, and a README that tells the truth.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use clap::CommandFactory as _;
use mercury::cli::Cli;
use regex::Regex;
use rustix::process::{Pid, Signal, kill_process};

use crate::peers::mercury_bin;

/// The demo with a directory of its own for temporary files.
fn demo(tmp: &Path) -> Command {
    let mut command = Command::new(mercury_bin());
    command.arg("demo").env("TMPDIR", tmp).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn entries(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

/// Processes whose command line names `dir`: the service is started with a file in it.
fn processes_of(dir: &Path) -> Vec<String> {
    let dir = dir.to_str().unwrap();
    let lines = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = lines.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(dir)).collect()
}

#[test]
fn every_step_holds_and_nothing_is_left() {
    let tmp = tempfile::tempdir().unwrap();
    let Output { status, stdout, stderr } = demo(tmp.path()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(status.success(), "{stdout}{stderr}");
    assert!(stderr.is_empty(), "{stderr}");
    for shown in ["planned: ", "applied: ", "unchanged: ", "TRUNK native 100", "400 Invalid", "is protected"]
    {
        assert!(stdout.contains(shown), "{shown} is not in {stdout}");
    }
    assert_eq!(entries(tmp.path()), 0);
    assert_eq!(processes_of(tmp.path()), Vec::<String>::new());
}

#[test]
fn a_demo_that_is_stopped_leaves_no_process() {
    for signal in [Signal::TERM, Signal::INT, Signal::KILL] {
        let tmp = tempfile::tempdir().unwrap();
        let mut child = demo(tmp.path()).spawn().unwrap();
        // The first line comes when all is started.
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut String::new()).unwrap();
        let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        drop(stdout);
        child.wait().unwrap();
        if signal == Signal::KILL {
            // The kernel ends the service, a moment later.
            let patience = Instant::now() + Duration::from_secs(10);
            while !processes_of(tmp.path()).is_empty() && Instant::now() < patience {
                std::thread::yield_now();
            }
        } else {
            assert_eq!(entries(tmp.path()), 0, "{signal:?}");
        }
        assert_eq!(processes_of(tmp.path()), Vec::<String>::new(), "{signal:?}");
    }
}

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

#[test]
fn the_readme_names_files_that_exist() {
    let path =
        Regex::new(r"(?:src|tests|devices|yang|\.ci)/[A-Za-z0-9_./-]*|(?:Makefile|Cargo\.toml|deny\.toml)\b")
            .unwrap();
    let text = readme();
    let named: BTreeSet<&str> =
        path.find_iter(&text).map(|found| found.as_str().trim_end_matches('.')).collect();
    assert!(named.len() > 20, "{named:?}");
    let missing = named.iter().filter(|name| !Path::new(env!("CARGO_MANIFEST_DIR")).join(name).exists());
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn the_readme_names_commands_that_exist() {
    let text = readme().replace("\\\n", " ");
    let command = Regex::new(r"(?m)(?:^|[`/]|\| )mercury ([a-z-]+)\b([^`\n]*)").unwrap();
    let flag = Regex::new(r"--([a-z-]+)").unwrap();
    let cli = Cli::command();
    let mut named = BTreeSet::new();
    for found in command.captures_iter(&text) {
        let subcommand = cli.find_subcommand(&found[1]);
        let subcommand = subcommand.unwrap_or_else(|| panic!("there is no `mercury {}`", &found[1]));
        for flag in flag.captures_iter(&found[2]) {
            let nested = subcommand.get_subcommands().flat_map(clap::Command::get_arguments);
            let mut arguments = subcommand.get_arguments().chain(nested);
            let known = arguments.any(|argument| argument.get_long() == Some(&flag[1]));
            assert!(known || &flag[1] == "help", "`mercury {}` has no --{}", &found[1], &flag[1]);
        }
        named.insert(found[1].to_owned());
    }
    let all = cli.get_subcommands().map(|subcommand| subcommand.get_name().to_owned()).collect();
    assert_eq!(named, all, "the README shows every subcommand");
}
