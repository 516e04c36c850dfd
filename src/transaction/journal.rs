//! The journal is the lock file: one a device endpoint, locked (flock) while a transaction runs,
//! never unlinked, empty when nothing is open. Before the first byte that changes a device it
//! holds, synced, all that another process needs to finish the undo. It holds no secrets.
//!
//! The file is only appended to while a transaction runs: a full record, then a line a phase.
//! A torn last line is one whose phase was never begun, because the sync comes before the send.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path as FilePath, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::device::Endpoint;
use crate::plan::WayBack;
use crate::transaction::outcome::Phase;
use crate::transport::Timed;

/// What a transaction leaves behind if this process dies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub device: String,
    pub request_ids: Vec<String>,
    pub phase: Phase,
    /// Over the edits and the slice they were made from.
    pub digest: String,
    /// The way that was taken; empty in records that say none.
    #[serde(default)]
    pub transport: String,
    pub timed: Timed,
    /// Given to the device as `persist` where it takes one.
    pub persist_id: String,
    /// When the device's own timer has run out at the latest; seconds since 1970.
    pub timer_end: u64,
    /// From when on it may have run out; none: no timer was running, or nothing was committed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer_from: Option<u64>,
    pub before_hash: String,
    pub after_hash: String,
    /// The exact payload that takes the change back, for people.
    pub inverse: String,
    /// Paths touched, what they held and should hold: what an undo is computed and guarded from.
    pub way_back: WayBack,
}

/// Longest file that is read, in bytes; the record of a full group is a thousandth of it.
const LONGEST: u64 = 64 << 20;

/// Why the lock file cannot be used. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path} is locked by another process on this host; waited {waited:?}")]
    Held { path: PathBuf, waited: Duration },
    #[error(
        "{path} can be written by others (mode {mode:04o}); what they put there would be carried out on devices"
    )]
    Open { path: PathBuf, mode: u32 },
    #[error("{path} holds a record that cannot be read ({why}); look at the device, then empty the file")]
    Damaged { path: PathBuf, why: String },
}

/// The lock file of one endpoint, locked as long as this value lives.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct PhaseLine {
    phase: Phase,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timer_from: Option<u64>,
}

/// The file's name: two devices of an inventory with one endpoint are one device.
pub fn file_name(endpoint: &Endpoint) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
    let address: String = endpoint.address.to_ascii_lowercase().chars().map(safe).collect();
    format!("{address}_{}.lock", endpoint.port)
}

/// Makes the directory (0700) if it is not there. One that others can write to is refused.
pub fn prepare(dir: &FilePath) -> Result<(), JournalError> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    let found = made.and_then(|()| std::fs::metadata(dir));
    let found = found.map_err(|source| JournalError::Io { path: dir.to_owned(), source })?;
    match found.permissions().mode() & 0o777 {
        mode if mode & 0o022 != 0 => Err(JournalError::Open { path: dir.to_owned(), mode }),
        _ => Ok(()),
    }
}

/// Journals with something in them that nobody is working on, here or in another process.
pub fn left(dir: &FilePath) -> Vec<PathBuf> {
    let is_left = |path: &PathBuf| {
        let file = OpenOptions::new().read(true).open(path);
        // Its length counts only under the lock.
        file.is_ok_and(|file| file.try_lock().is_ok() && file.metadata().is_ok_and(|data| data.len() > 0))
    };
    open(dir).filter(is_left).collect()
}

/// The device that a journal is about, as the inventory called it then; none: it says none.
pub fn owner(path: &FilePath) -> Option<String> {
    #[derive(Deserialize)]
    struct Owner {
        device: String,
    }
    let mut text = String::new();
    File::open(path).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    serde_json::from_str::<Owner>(text.lines().next()?).ok().map(|owner| owner.device)
}

/// How many journals hold something, under way or not.
pub fn count_open(dir: &FilePath) -> usize {
    open(dir).count()
}

/// Whether the journal of this device holds something, under way or not.
pub fn is_open(dir: &FilePath, endpoint: &Endpoint) -> bool {
    holds(&dir.join(file_name(endpoint)))
}

/// The journals that hold something, under way or not.
pub fn open(dir: &FilePath) -> impl Iterator<Item = PathBuf> {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files.map(|file| file.path()).filter(|path| holds(path))
}

/// Whether this is a file with something in it.
pub fn holds(path: &FilePath) -> bool {
    std::fs::metadata(path).is_ok_and(|data| data.is_file() && data.len() > 0)
}

impl Journal {
    /// Opens (creating it 0600) and locks; waits until `deadline` for another process.
    pub async fn lock(dir: &FilePath, endpoint: &Endpoint, deadline: Instant) -> Result<Self, JournalError> {
        let path = dir.join(file_name(endpoint));
        let io = |source| JournalError::Io { path: path.clone(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io)?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { file, path }),
                Err(TryLockError::Error(source)) => return Err(io(source)),
                Err(TryLockError::WouldBlock) => {}
            }
            let pause = crate::transaction::jitter(Duration::from_millis(20));
            if Instant::now() + pause >= deadline {
                return Err(JournalError::Held { path, waited: started.elapsed() });
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// What an earlier transaction left, if anything.
    pub fn left_behind(&mut self) -> Result<Option<Record>, JournalError> {
        let damaged = |why: String| JournalError::Damaged { path: self.path.clone(), why };
        let mut bytes = Vec::new();
        (&self.file).seek(SeekFrom::Start(0)).map_err(|e| self.io(e))?;
        (&self.file).take(LONGEST + 1).read_to_end(&mut bytes).map_err(|e| self.io(e))?;
        if bytes.len() as u64 > LONGEST {
            return Err(damaged(format!("it is longer than {LONGEST} bytes")));
        }
        let text = String::from_utf8(bytes).map_err(|error| damaged(error.to_string()))?;
        let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let Some(first) = lines.next() else {
            // Torn before the first sync: nothing had been sent.
            return Ok(None);
        };
        let damaged = |error: serde_json::Error| damaged(error.to_string());
        let mut record: Record = serde_json::from_str(first).map_err(damaged)?;
        for line in lines {
            let line: PhaseLine = serde_json::from_str(line).map_err(damaged)?;
            record.phase = line.phase;
            record.timer_from = line.timer_from;
        }
        Ok(Some(record))
    }

    /// Writes the record of a transaction that is about to change the device, synced.
    pub fn begin(&mut self, record: &Record) -> Result<(), JournalError> {
        self.file.set_len(0).map_err(|e| self.io(e))?;
        self.file.seek(SeekFrom::Start(0)).map_err(|e| self.io(e))?;
        self.append(record)
    }

    /// Notes, synced, that a phase begins, and from when on a timer may have run out that is running.
    pub fn phase(&mut self, phase: Phase, timer_from: Option<u64>) -> Result<(), JournalError> {
        self.append(&PhaseLine { phase, timer_from })
    }

    /// The transaction ended and its outcome is known.
    pub fn clear(&mut self) -> Result<(), JournalError> {
        self.file.set_len(0).and_then(|()| self.file.sync_data()).map_err(|e| self.io(e))
    }

    fn append(&mut self, line: &impl Serialize) -> Result<(), JournalError> {
        let mut bytes = serde_json::to_vec(line).map_err(|e| self.io(e.into()))?;
        bytes.push(b'\n');
        let end = self.file.stream_position().map_err(|e| self.io(e))?;
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        written.map_err(|error| {
            // Half a line must not be what a later one is appended to.
            if let Err(error) = self.file.set_len(end).and_then(|()| self.file.seek(SeekFrom::Start(end))) {
                tracing::error!(path = %self.path.display(), %error, "half a line stays in the journal");
            }
            self.io(error)
        })
    }

    fn io(&self, source: std::io::Error) -> JournalError {
        JournalError::Io { path: self.path.clone(), source }
    }
}

impl Drop for Journal {
    /// Closing would not do: a child that another thread is just starting holds the file open until
    /// it has replaced itself, and with it the lock.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::warn!(path = %self.path.display(), %error, "the lock file is only unlocked by closing it");
        }
    }
}

/// The moment of so many seconds since 1970; none: no clock shows it.
pub fn instant_of(unix_time: u64) -> Option<Instant> {
    let moment = UNIX_EPOCH.checked_add(Duration::from_secs(unix_time))?;
    let now = Instant::now();
    match moment.duration_since(SystemTime::now()) {
        Ok(left) => now.checked_add(left),
        Err(past) => now.checked_sub(past.duration()),
    }
}

/// Seconds since 1970, `after` from now.
pub fn unix_time_in(after: Duration) -> u64 {
    (SystemTime::now() + after).duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn what_is_no_record_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let endpoint = crate::device::sample("leaf1").endpoint;
        let mut journal = Journal::lock(dir.path(), &endpoint, Instant::now()).await.unwrap();
        let path = dir.path().join(file_name(&endpoint));
        for bad in [&b"\xff\n"[..], b"{}\n", b"\n"] {
            std::fs::write(&path, bad).unwrap();
            assert!(matches!(journal.left_behind(), Err(JournalError::Damaged { .. })), "{bad:?}");
        }
        // Without the blocks of a disk; it would not fit into memory.
        File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(matches!(journal.left_behind(), Err(JournalError::Damaged { .. })));
        journal.clear().unwrap();
        assert!(journal.left_behind().unwrap().is_none());
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let new = dir.path().join("a/b");
        prepare(&new).unwrap();
        assert_eq!(std::fs::metadata(&new).unwrap().permissions().mode() & 0o777, 0o700);
        for (mode, is_fine) in [(0o755, true), (0o775, false), (0o777, false), (0o1777, false)] {
            std::fs::set_permissions(&new, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(prepare(&new).is_ok(), is_fine, "{mode:o}");
        }
    }

    #[test]
    fn a_moment_of_the_clock_is_never_taken_for_a_later_one() {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        for ahead in [0, 1, 30] {
            let (now, unix_time) = (Instant::now(), since.as_secs() + ahead);
            let left = Duration::from_secs(unix_time).saturating_sub(since);
            let instant = instant_of(unix_time).unwrap();
            assert!(instant <= now + left, "{ahead}: {:?} late", instant - (now + left));
        }
        // Before this machine was up, and what no clock says.
        assert!(instant_of(since.as_secs() - 1_000_000_000).is_some_and(|instant| instant < Instant::now()));
        assert_eq!(instant_of(u64::MAX), None);
    }
}
