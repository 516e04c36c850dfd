//! The one runner of golden cases: each directory of `tests/golden/NAME` but `_base` is a case, and
//! what is found is compared with a file in it. `UPDATE_GOLDEN=1` writes these files anew.

use std::fs;
use std::path::{Path, PathBuf};

/// Every case of one kind, in order.
pub fn cases(name: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let all = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> = all.filter(|case| !case.ends_with("_base")).collect();
    cases.sort();
    assert!(!cases.is_empty());
    cases
}

/// Finds something in every case, compares it with `expected.txt`, and fails with all differences.
pub fn check(name: &str, find: impl Fn(&Path) -> String) {
    let mut differences = Differences::default();
    for case in cases(name) {
        differences.compare(&case.join("expected.txt"), &find(&case));
    }
    differences.none();
}

/// What was found and not expected.
#[derive(Default)]
pub struct Differences(Vec<String>);

impl Differences {
    /// Nothing found means that there is no such file.
    pub fn compare(&mut self, file: &Path, found: &str) {
        let expected = fs::read_to_string(file).unwrap_or_default();
        if expected == found {
            return;
        }
        if std::env::var_os("UPDATE_GOLDEN").is_none() {
            let diff = similar::TextDiff::from_lines(expected.as_str(), found);
            self.0.push(diff.unified_diff().header(&file.display().to_string(), "found").to_string());
        } else if found.is_empty() {
            fs::remove_file(file).unwrap();
        } else {
            fs::write(file, found).unwrap();
        }
    }

    #[track_caller]
    pub fn none(self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}
