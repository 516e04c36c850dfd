//! A payload as the request that carries it.

use crate::device::{GnmiEncoding, GnmiHabits, Model};
use crate::gnmi::{
    Commit, CommitAction, CommitRequest, Duration, Encoding, Extension, ExtensionKind, Path, PathElem,
    PathError, SetRequest, TypedValue, Update, Value,
};
use crate::render::gnmi::{self as render, Set};

/// The origin of what is text of a command line.
const CLI: &str = "cli";

/// The prefix of every request; none where the system needs none.
pub(super) fn prefix(habits: &GnmiHabits) -> Option<Path> {
    let origin = if habits.origin_in_prefix { habits.origin.clone() } else { String::new() };
    let prefix = Path { origin, target: habits.target.clone(), elem: Vec::new() };
    (prefix != Path::default()).then_some(prefix)
}

pub(super) fn encoding(habits: &GnmiHabits) -> Encoding {
    match (&habits.model, habits.encoding) {
        (Model::Lines(_), _) => Encoding::Ascii,
        (_, GnmiEncoding::JsonIetf) => Encoding::JsonIetf,
        (_, GnmiEncoding::Json) => Encoding::Json,
    }
}

/// Where what a command prints is to be got.
pub(super) fn command(text: &str) -> Path {
    let elem = PathElem { name: text.to_owned(), ..PathElem::default() };
    Path { origin: CLI.to_owned(), elem: vec![elem], ..Path::default() }
}

/// Why a payload is no Set.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoSet {
    #[error("the payload is no Set: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the payload is no Set: {0}")]
    Path(#[from] PathError),
}

pub(super) fn set(text: &str, habits: &GnmiHabits) -> Result<SetRequest, NoSet> {
    let set: Set = serde_json::from_str(text)?;
    let delete = set.delete.iter().map(|path| path.parse()).collect::<Result<_, _>>()?;
    let update = |one: &render::Update| -> Result<Update, NoSet> {
        let text = serde_json::to_vec(&one.val)?;
        let value = match habits.encoding {
            GnmiEncoding::JsonIetf => Value::JsonIetf(text),
            GnmiEncoding::Json => Value::Json(text),
        };
        let val = Some(TypedValue { value: Some(value) });
        Ok(Update { path: Some(one.path.parse()?), val, duplicates: 0 })
    };
    let replace = set.replace.iter().map(update).collect::<Result<_, _>>()?;
    let update = set.update.iter().map(update).collect::<Result<_, _>>()?;
    Ok(SetRequest { prefix: prefix(habits), delete, replace, update, ..SetRequest::default() })
}

/// Lines of a command line, an update each (specification 2.2.2.1 and its appendix on CLI data).
pub(super) fn lines(text: &str, habits: &GnmiHabits) -> SetRequest {
    let update = |line: &str| Update {
        path: Some(Path { origin: CLI.to_owned(), ..Path::default() }),
        val: Some(TypedValue { value: Some(Value::Ascii(line.to_owned())) }),
        duplicates: 0,
    };
    let prefix = Some(Path { target: habits.target.clone(), ..Path::default() });
    let prefix = prefix.filter(|prefix| *prefix != Path::default());
    SetRequest { prefix, update: text.lines().map(update).collect(), ..SetRequest::default() }
}

/// The commit that the extension asks for; it is undone after `timeout`.
pub(super) fn commit(id: &str, timeout: std::time::Duration) -> Extension {
    extension(id, CommitAction::Commit(after(timeout)))
}

/// The commit of this id is undone after `timeout` from now on.
pub(super) fn set_rollback_duration(id: &str, timeout: std::time::Duration) -> Extension {
    extension(id, CommitAction::SetRollbackDuration(after(timeout)))
}

fn after(timeout: std::time::Duration) -> CommitRequest {
    let seconds = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
    CommitRequest { rollback_duration: Some(Duration { seconds, nanos: 0 }) }
}

pub(super) fn extension(id: &str, action: CommitAction) -> Extension {
    let commit = Commit { id: id.to_owned(), action: Some(action) };
    Extension { kind: Some(ExtensionKind::Commit(commit)) }
}
