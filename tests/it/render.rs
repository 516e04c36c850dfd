//! What `mercury render` says: each directory of `tests/golden/render` holds its `args`, one a line;
//! `expected.txt` is the command, all that it prints and its exit code.

use std::fs;
use std::process::Command;

use crate::golden;

#[test]
fn payloads_are_shown_as_recorded() {
    golden::check("render", |case| {
        let args = fs::read_to_string(case.join("args")).unwrap();
        let args: Vec<&str> = args.lines().collect();
        let mut mercury = Command::new(env!("CARGO_BIN_EXE_mercury"));
        let output = mercury.arg("render").args(&args).current_dir(case).output().unwrap();
        let (out, err) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        format!("$ mercury render {}\n{out}{err}exit {}\n", args.join(" "), output.status.code().unwrap())
    });
}
