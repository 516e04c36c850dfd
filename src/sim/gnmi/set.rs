//! Set and the commit-confirmed extension (gNMI specification 3.4, gnmi-commit-confirmed.md).

use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;

use super::edit::{Edit, Keep, delete, write};
use super::path::{absolute, resolve};
use super::spec::{CommitExtension, GnmiSpec};
use super::value::Body;
use super::{broken, native, timestamp};
use crate::gnmi::{
    Commit, CommitAction, ExtensionKind, Path, SetRequest, SetResponse, Update, UpdateOperation, UpdateResult,
};
use crate::schema::Schema;
use crate::sim::commit::NotPending;
use crate::sim::edit::refusal;
use crate::sim::store::{Datastore, GNMI, Store};
use crate::sim::tree::Tree;

/// The name under which a Set is logged and faults find it.
pub(super) fn kind(request: &SetRequest) -> &'static str {
    match commit_of(request).ok().flatten().and_then(|commit| commit.action.as_ref()) {
        None => "gnmi-set",
        Some(CommitAction::Commit(_)) => "gnmi-commit",
        Some(CommitAction::Confirm(_)) => "gnmi-confirm",
        Some(CommitAction::Cancel(_)) => "gnmi-cancel",
        Some(CommitAction::SetRollbackDuration(_)) => "gnmi-set-rollback-duration",
    }
}

/// Carries a Set out.
pub(super) fn set(
    store: &mut Store,
    spec: &GnmiSpec,
    request: &SetRequest,
    now: Instant,
) -> Result<SetResponse, Status> {
    let schema = std::sync::Arc::clone(store.running.schema());
    let mut response =
        SetResponse { prefix: request.prefix.clone(), timestamp: timestamp(spec), ..SetResponse::default() };
    let commit = match (commit_of(request)?, spec.quirks.commit) {
        (Some(_), CommitExtension::Unimplemented) => {
            return Err(Status::unimplemented("the commit extension is not supported"));
        }
        (commit, CommitExtension::Supported) => commit,
        (Some(commit), CommitExtension::Ignored) if !starts(commit) => return Ok(response),
        (_, CommitExtension::Ignored) => None,
        (None, CommitExtension::Unimplemented) => None,
    };
    let timer = match commit {
        None => None,
        Some(commit) if starts(commit) => Some((commit.id.as_str(), timeout(spec, commit)?)),
        Some(commit) => {
            follow_up(store, spec, request, commit, now)?;
            return Ok(response);
        }
    };
    free(store)?;
    if let Some(lines) = native::lines(request)? {
        let cli = store.cli.as_mut().ok_or_else(|| Status::unimplemented("origin cli is not known here"))?;
        if timer.is_some() {
            return Err(Status::unimplemented("a command line takes no commit extension here"));
        }
        cli.configure(lines).map_err(Status::aborted)?;
        store.commits += 1;
        return Ok(response);
    }
    let origin = native::origin_of(&store.documents, request)?.map(str::to_owned);
    let ((new, taken), results) = match origin {
        Some(origin) => {
            let (document, done) = native::changed(&store.documents[&origin], spec, request)?;
            let results = done.into_iter().map(|(path, op)| result(spec, &path, op)).collect();
            let changes = document != store.documents[&origin];
            ((changes.then_some(New::Document(origin, document)), Ok(())), results)
        }
        None => {
            let (edits, results) = plan(&schema, spec, request)?;
            let (tree, taken) = change(store, &edits)?;
            ((tree.map(New::Running), taken), results)
        }
    };
    if !spec.quirks.no_results {
        response.response = results;
    }
    if spec.quirks.applies_nothing {
        return taken.map(|()| response);
    }
    if let Some((id, timeout)) = timer
        && (taken.is_ok() || spec.quirks.keeps_failed_commit)
    {
        let rollback = store.running.copy().map_err(broken)?;
        store.pend(rollback, id, timeout, now);
    }
    if let Some(new) = new {
        match new {
            New::Running(tree) => store.running = tree,
            New::Document(origin, document) => drop(store.documents.insert(origin, document)),
        }
        store.commits += 1;
    }
    taken?;
    match spec.quirks.fails_after_applying {
        Some(code) => Err(Status::new(code, "an error on purpose, after the change")),
        None => Ok(response),
    }
}

/// What a Set makes anew.
enum New {
    Running(Tree),
    Document(String, serde_json::Value),
}

fn result(spec: &GnmiSpec, path: &Path, op: UpdateOperation) -> UpdateResult {
    let path = (!spec.quirks.no_result_paths).then(|| path.clone());
    UpdateResult { path, op: op.into() }
}

/// Whether nothing is in the way of a change. The implicit candidate is the one of NETCONF.
fn free(store: &Store) -> Result<(), Status> {
    if store.pending.is_some() {
        return Err(Status::failed_precondition("a commit waits for its confirmation"));
    }
    if store.candidate.is_some() {
        return Err(Status::failed_precondition("the candidate has changes of someone else"));
    }
    for datastore in [Datastore::Running, Datastore::Candidate] {
        let free = store.free_for(GNMI, datastore);
        free.map_err(|error| Status::failed_precondition(error.message()))?;
    }
    Ok(())
}

/// Running as it is to be, valid, and `None` if it stays; and whether the edits were taken. By a quirk
/// what comes before a refused one is carried out.
fn change(store: &Store, edits: &[Edit]) -> Result<(Option<Tree>, Result<(), Status>), Status> {
    let mut tree = store.running.copy().map_err(broken)?;
    let mut changed = false;
    let taken = edits.iter().try_for_each(|edit| {
        changed |= apply(&mut tree, edit, store)?;
        Ok(())
    });
    if !changed || taken.is_err() && store.rolls_back() {
        return Ok((None, taken));
    }
    Ok(match store.validate(&mut tree) {
        Ok(()) => (Some(tree), taken),
        Err(error) => (None, taken.and(Err(Status::aborted(error.message())))),
    })
}

fn apply(tree: &mut Tree, edit: &Edit, store: &Store) -> Result<bool, Status> {
    let refuse = |name: &str, value: &str, path: &str| match refusal(&store.quirks, name, value) {
        Some(message) => Err(Status::aborted(format!("{message} ({path})"))),
        None => Ok(()),
    };
    let (path, value) = match edit {
        Edit::Remove(path) => {
            let found = tree.select(path).map_err(bad_value)?;
            let paths: Vec<String> = found.iter().map(yang5::data::DataNodeRef::path).collect();
            paths.iter().try_for_each(|path| tree.remove(path)).map_err(broken)?;
            return Ok(!paths.is_empty());
        }
        Edit::Create { path, keys } => {
            keys.iter().try_for_each(|(name, value)| refuse(name, value, path))?;
            (path, None)
        }
        Edit::Leaf { name, .. } if store.quirks.ignore.as_deref() == Some(name) => return Ok(false),
        Edit::Leaf { path, name, value } => {
            refuse(name, value, path)?;
            (path, Some(value.as_str()))
        }
        Edit::Listed { path, name, value } => {
            refuse(name, value, path)?;
            (path, None)
        }
    };
    tree.set(path, value).map_err(bad_value)
}

fn bad_value(error: yang5::Error) -> Status {
    Status::invalid_argument(error.to_string())
}

/// All edits in the order of the specification, and a result for each operation.
fn plan(
    schema: &Schema,
    spec: &GnmiSpec,
    request: &SetRequest,
) -> Result<(Vec<Edit>, Vec<UpdateResult>), Status> {
    if !request.union_replace.is_empty() {
        return Err(Status::unimplemented("union_replace is not supported"));
    }
    let (mut edits, mut results) = (Vec::new(), Vec::new());
    let mut done = |path: &Path, op: UpdateOperation| results.push(result(spec, path, op));
    let find = |path: &Path| {
        let elems = absolute(request.prefix.as_ref(), path, spec.quirks.origin_required)?;
        resolve(schema.context(), &elems)
    };
    for path in &request.delete {
        edits.extend(delete(&find(path)?)?);
        done(path, UpdateOperation::Delete);
    }
    let replaces = request.replace.iter().map(|update| (update, UpdateOperation::Replace));
    let updates = request.update.iter().map(|update| (update, UpdateOperation::Update));
    for (Update { path, val, .. }, op) in replaces.chain(updates) {
        let path = path.as_ref().ok_or_else(|| Status::invalid_argument("an update without a path"))?;
        let keep = if op == UpdateOperation::Replace { Keep::Nothing } else { Keep::Rest };
        let body = Body::new(spec, val.as_ref())?;
        edits.extend(write(schema.context(), &spec.quirks, &find(path)?, &body, keep)?);
        done(path, op);
    }
    Ok((edits, results))
}

fn commit_of(request: &SetRequest) -> Result<Option<&Commit>, Status> {
    let kinds = request.extension.iter().filter_map(|extension| extension.kind.as_ref());
    let mut commits = kinds.map(|ExtensionKind::Commit(commit)| commit);
    let commit = commits.next();
    if commits.next().is_some() {
        return Err(Status::invalid_argument("one commit extension only"));
    }
    Ok(commit)
}

fn starts(commit: &Commit) -> bool {
    matches!(commit.action, Some(CommitAction::Commit(_)))
}

fn timeout(spec: &GnmiSpec, commit: &Commit) -> Result<Duration, Status> {
    if commit.id.is_empty() {
        return Err(Status::invalid_argument("a commit needs an id"));
    }
    let given = match &commit.action {
        Some(CommitAction::Commit(request) | CommitAction::SetRollbackDuration(request)) => {
            request.rollback_duration
        }
        _ => None,
    };
    let Some(given) = given else { return Ok(spec.rollback) };
    match (u32::try_from(given.seconds), u32::try_from(given.nanos)) {
        (Ok(seconds), Ok(nanos)) if nanos < 1_000_000_000 && (seconds, nanos) != (0, 0) => {
            Ok(Duration::new(seconds.into(), nanos))
        }
        _ => Err(Status::invalid_argument("a rollback_duration is more than nothing")),
    }
}

/// Confirm, cancel and set_rollback_duration.
fn follow_up(
    store: &mut Store,
    spec: &GnmiSpec,
    request: &SetRequest,
    commit: &Commit,
    now: Instant,
) -> Result<(), Status> {
    let operations = [request.replace.len(), request.update.len(), request.union_replace.len()];
    if !request.delete.is_empty() || operations != [0; 3] {
        return Err(Status::invalid_argument("this comes without operations"));
    }
    let id = commit.id.as_str();
    let done = match &commit.action {
        Some(CommitAction::Confirm(_)) => store.confirm_named(id),
        Some(CommitAction::Cancel(_)) => store.cancel_named(id),
        Some(CommitAction::SetRollbackDuration(_)) => store.extend_named(id, timeout(spec, commit)?, now),
        Some(CommitAction::Commit(_)) | None => {
            return Err(Status::invalid_argument("a commit extension without an action"));
        }
    };
    done.map_err(|why| match why {
        NotPending::None => Status::failed_precondition("no commit waits for its confirmation"),
        NotPending::OtherId => Status::invalid_argument(format!("no commit {id} waits for its confirmation")),
    })
}
