//! A file of users that is read again when it has changed.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::device::credentials::private_text;

/// Users and what their passwords became. A look at it costs one stat(2); while the file is wrong,
/// no longer private or gone, it has no users.
pub struct UserFile<T> {
    path: PathBuf,
    parse: Parse<T>,
    current: ArcSwap<Version<T>>,
}

/// Turns a file's text into users.
pub type Parse<T> = Box<dyn Fn(&str) -> Result<T, Wrong> + Send + Sync>;

/// Why a file of users cannot be used. Nothing of its content is shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Wrong {
    /// From 1; none: the file as a whole.
    pub line: Option<usize>,
    pub why: String,
}

struct Version<T> {
    stamp: Option<Stamp>,
    users: Arc<T>,
}

/// What changes when a file changes or another takes its name.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl<T: Default> UserFile<T> {
    /// Reads it for the first time.
    pub fn open(path: &Path, parse: Parse<T>) -> Result<Self, Wrong> {
        let version = Version { stamp: stamp(path), users: Arc::new(read(path, &parse)?) };
        Ok(Self { path: path.to_owned(), parse, current: ArcSwap::from_pointee(version) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The users of now.
    pub fn users(&self) -> Arc<T> {
        let version = self.current.load();
        // Taken before the file is read: what changes meanwhile is seen the next time.
        let stamp = stamp(&self.path);
        if stamp == version.stamp {
            return version.users.clone();
        }
        let path = self.path.display();
        let users = match read(&self.path, &self.parse) {
            Ok(users) => {
                tracing::info!(%path, "the users were read again");
                users
            }
            Err(Wrong { line, why }) => {
                tracing::error!(%path, line, "nobody of this file is let in: {why}");
                T::default()
            }
        };
        let users = Arc::new(users);
        self.current.store(Arc::new(Version { stamp, users: users.clone() }));
        users
    }
}

impl<T> fmt::Debug for UserFile<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserFile({})", self.path.display())
    }
}

impl Wrong {
    /// Something about the line with this index, counted from 0.
    pub fn at(index: usize, why: impl Into<String>) -> Self {
        Self { line: Some(index + 1), why: why.into() }
    }
}

/// The lines that name users, with their index.
pub fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().map(str::trim_end).enumerate();
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn read<T>(path: &Path, parse: &Parse<T>) -> Result<T, Wrong> {
    private_text(path).map_err(|why| Wrong { line: None, why }).and_then(|text| parse(&text))
}

fn stamp(path: &Path) -> Option<Stamp> {
    std::fs::metadata(path).ok().map(|found: Metadata| Stamp {
        inode: (found.dev(), found.ino()),
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_change_is_seen_and_a_wrong_file_has_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users");
        let write = |text: &str, mode| {
            let new = directory.path().join("new");
            fs::write(&new, text).unwrap();
            fs::set_permissions(&new, Permissions::from_mode(mode)).unwrap();
            fs::rename(new, &path).unwrap();
        };
        let parse = |text: &str| match text {
            "bad" => Err(Wrong::at(0, "it is bad")),
            text => Ok(text.to_owned()),
        };
        let open = || UserFile::open(&path, Box::new(parse));
        assert_eq!(open().unwrap_err().why, "no such file or directory");
        write("a", 0o644);
        assert!(open().unwrap_err().why.contains("0644"));
        write("a", 0o600);
        let file = open().unwrap();
        assert_eq!(*file.users(), "a");
        write("b", 0o600);
        assert_eq!(*file.users(), "b");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert_eq!(*file.users(), "");
        write("bad", 0o600);
        assert_eq!(*file.users(), "");
        write("c", 0o600);
        assert_eq!(*file.users(), "c");
        fs::remove_file(&path).unwrap();
        assert_eq!(*file.users(), "");
    }
}
