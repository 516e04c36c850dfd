//! What `mercury lint` says: each directory of `tests/golden/lint` is an operator's, with `profiles`,
//! `templates` and `transcripts`; `expected.txt` is all that it prints and its exit code.

use std::path::Path;
use std::process::Command;

use crate::golden;

#[test]
fn mistakes_are_found_with_their_places() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/lint");
    golden::check("lint", |case| {
        let mut mercury = Command::new(env!("CARGO_BIN_EXE_mercury"));
        let name = case.file_name().unwrap();
        let output = mercury.arg("lint").arg(name).current_dir(&root).output().unwrap();
        let (out, err) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        format!("$ mercury lint {}\n{out}{err}exit {}\n", name.display(), output.status.code().unwrap())
    });
}
