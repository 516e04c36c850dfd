//! The README's guide "Add a vendor in 30 minutes", followed to the letter: its files are written, its
//! commands run, and what they print is what it says.

use std::fs;
use std::path::Path;
use std::process::Command;

const TITLE: &str = "## Add a vendor in 30 minutes";

/// A block of the guide.
enum Block {
    File {
        path: String,
        text: String,
    },
    /// Commands, each with what it prints.
    Session(Vec<(String, String)>),
}

fn guide() -> Vec<Block> {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (_, section) = readme.split_once(TITLE).expect("the README has the guide");
    let section = section.split("\n## ").next().unwrap();
    let mut blocks = Vec::new();
    let mut before = "";
    let mut lines = section.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else {
            if !line.trim().is_empty() {
                before = line;
            }
            continue;
        };
        let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        blocks.push(match kind {
            "console" => Block::Session(session(&inside)),
            _ => {
                let path = before.strip_suffix("`:").and_then(|line| line.rsplit('`').next());
                let path =
                    path.unwrap_or_else(|| panic!("no file is named before the block after {before:?}"));
                Block::File { path: path.to_owned(), text: inside.join("\n") + "\n" }
            }
        });
    }
    blocks
}

fn session(lines: &[&str]) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in lines {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some((_, output))) => {
                output.push_str(line);
                output.push('\n');
            }
            (None, None) => panic!("{line:?} stands before the first command"),
        }
    }
    commands
}

#[test]
fn the_guide_works_as_written() {
    let directory = tempfile::tempdir().unwrap();
    let binaries = Path::new(env!("CARGO_BIN_EXE_mercury")).parent().unwrap();
    let (mut files, mut commands) = (0, 0);
    for block in guide() {
        match block {
            Block::File { path, text } => {
                let path = directory.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
                files += 1;
            }
            Block::Session(session) => {
                for (command, expected) in session {
                    let mut shell = Command::new("sh");
                    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
                    let shell = shell.args(["-c", &command]).env("PATH", path);
                    let output = shell.current_dir(directory.path()).output().unwrap();
                    let said = String::from_utf8(output.stdout).unwrap()
                        + &String::from_utf8(output.stderr).unwrap();
                    same(&command, &expected, &said);
                    commands += 1;
                }
            }
        }
    }
    assert!(files >= 5 && commands >= 3, "{files} files, {commands} commands");
}

fn same(command: &str, expected: &str, said: &str) {
    if expected != said {
        let diff = similar::TextDiff::from_lines(expected, said);
        panic!("{command}\n{}", diff.unified_diff().header("README.md", "said"));
    }
}
