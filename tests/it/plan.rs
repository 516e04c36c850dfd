//! What `mercury plan` says, run as a reviewer runs it.
//!
//! Each directory of `tests/golden/plan` is laid over `_base` (an inventory whose keys do not exist)
//! in a fresh directory. `call.json` and `running.xml`, where there are any, become the arguments, or
//! `args` has them, one a line; `stdin` is what standard input holds. `expected.txt` is the command,
//! all that it prints and its exit code; `UPDATE_GOLDEN=1` writes it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::config::copy;
use crate::golden;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/plan")
}

/// A private directory with the files of `_base` and of `case`.
fn lay_out(case: &Path) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for layer in [root().join("_base").as_path(), case] {
        copy(layer, directory.path());
    }
    directory
}

fn plan<S: AsRef<str>>(directory: &Path, args: &[S]) -> Output {
    let stdin = match File::open(directory.join("stdin")) {
        Ok(file) => Stdio::from(file),
        Err(_) => Stdio::null(),
    };
    let args = args.iter().map(AsRef::as_ref);
    let mut mercury = Command::new(env!("CARGO_BIN_EXE_mercury"));
    mercury.arg("plan").args(args).current_dir(directory).stdin(stdin).output().unwrap()
}

fn arguments(directory: &Path) -> Vec<String> {
    if let Ok(args) = fs::read_to_string(directory.join("args")) {
        return args.lines().map(str::to_owned).collect();
    }
    let mut args = vec!["--devices", "devices.toml", "call.json"];
    if directory.join("running.xml").exists() {
        args.extend(["--running", "running.xml"]);
    }
    args.into_iter().map(str::to_owned).collect()
}

fn transcript(directory: &Path) -> String {
    let args = arguments(directory);
    let output = plan(directory, &args);
    let quoted = |arg: &String| if arg.contains(' ') { format!("'{arg}'") } else { arg.clone() };
    let args: Vec<String> = args.iter().map(quoted).collect();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    format!("$ mercury plan {}\n{out}{err}exit {}\n", args.join(" "), output.status.code().unwrap())
}

#[test]
fn plans_read_as_recorded() {
    golden::check("plan", |case| transcript(lay_out(case).path()));
}

#[test]
fn a_mistake_never_looks_like_changes() {
    let directory = lay_out(&root().join("access"));
    let good = ["--devices", "devices.toml", "--switch", "leaf1", "--port", "eth1"];
    let attach = [&good[..], &["--access", "100"]].concat();
    assert_eq!(plan(directory.path(), &attach).status.code(), Some(2));
    let with = |more: &[&'static str]| [&good[..], more].concat();
    for args in [
        vec![],
        vec!["--devices", "devices.toml"],
        vec!["call.json"],
        vec!["--devices", "devices.toml", "--config", "mercury.toml", "call.json"],
        vec!["--devices", "devices.toml", "call.json", "other.json"],
        vec!["--devices", "devices.toml", "call.json", "--switch", "leaf1", "--port", "eth1"],
        vec!["--devices", "devices.toml", "call.json", "--detach"],
        vec!["--devices", "devices.toml", "call.json", "--live", "--running", "running.xml"],
        vec!["--devices", "devices.toml", "--switch", "leaf1", "--access", "100"],
        vec!["--devices", "devices.toml", "--port", "eth1", "--access", "100"],
        vec!["--devices", "."],
        with(&[]),
        with(&["--unknown"]),
        with(&["--access"]),
        with(&["--access", "0"]),
        with(&["--access", "4095"]),
        with(&["--access", "-1"]),
        with(&["--access", "ten"]),
        with(&["--access", "100", "--access", "101"]),
        with(&["--access", "100", "--trunk", "101"]),
        with(&["--access", "100", "--native", "101"]),
        with(&["--access", "100", "--detach"]),
        with(&["--trunk", ""]),
        with(&["--trunk", "100-"]),
        with(&["--trunk", "110-100"]),
        with(&["--trunk", "100,5000"]),
        with(&["--detach", "--mtu", "1500"]),
        with(&["--detach", "--default-vlan", "0"]),
        with(&["--access", "100", "--mtu", "70000"]),
        with(&["--access", "100", "--mtu", "0"]),
        with(&["--access", "100", "--enabled", "maybe"]),
        with(&["--access", "100", "--description", ""]),
        with(&["--access", "100", "--description", "a\nb"]),
        with(&["--access", "100", "--yang", "nowhere"]),
    ] {
        let output = plan(directory.path(), &args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
    for help in ["--help", "-h"] {
        assert_eq!(plan(directory.path(), &[help]).status.code(), Some(0));
    }
}
