//! From an operation's element to the datastores (RFC 6241 7 and 8).

use std::time::Duration;

use tokio::time::Instant;

use super::commit::CommitOptions;
use super::edit::{self, Operation};
use super::error::RpcError;
use super::filter;
use super::store::{Datastore, EditOptions, SessionId, Store};
use super::tree::Tree;
use super::xml::{BASE, Element};
use super::{Confirm, Quirks};

/// The timer of a confirmed commit that names none (RFC 6241 8.4.5.1).
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(600);

/// What an operation answers when it succeeds.
#[derive(Debug)]
pub(super) enum Answer {
    Ok,
    /// The content of `<data>`.
    Data(String),
    /// `<ok/>`, then the session ends.
    Goodbye,
}

impl Store {
    /// The name under which an operation is logged and faults find it.
    pub fn kind(&self, operation: &Element) -> String {
        match operation.name.as_str() {
            "commit" if operation.base_child("confirmed").is_some() => "confirmed-commit",
            "commit" if self.pending.is_some() => "confirm",
            name => name,
        }
        .to_owned()
    }

    /// Carries one operation out.
    pub fn execute(
        &mut self,
        session: SessionId,
        operation: &Element,
        now: Instant,
    ) -> Result<Answer, RpcError> {
        if operation.ns != BASE {
            return Err(unsupported(operation));
        }
        let candidate = self.personality.has_candidate();
        match operation.name.as_str() {
            "get" if self.native.is_some() => {
                known(operation, &["filter"])?;
                return self.read_native(Datastore::Running, operation);
            }
            "get-config" if self.native.is_some() => {
                known(operation, &["source", "filter"])?;
                return self.read_native(datastore(operation, "source")?, operation);
            }
            "get" => {
                known(operation, &["filter"])?;
                return read(&self.with_state()?, operation);
            }
            "get-config" => {
                known(operation, &["source", "filter"])?;
                return read(self.tree(datastore(operation, "source")?)?, operation);
            }
            "edit-config" => self.edit_config(session, operation)?,
            "lock" | "unlock" => {
                known(operation, &["target"])?;
                let target = datastore(operation, "target")?;
                if operation.name == "lock" {
                    self.lock(session, target)
                } else {
                    self.unlock(session, target)
                }?;
            }
            "commit" if candidate => {
                let options = self.commit_options(operation)?;
                self.commit(session, options, now)?;
            }
            "cancel-commit" if self.personality.confirm() == Confirm::Persist => {
                known(operation, &["persist-id"])?;
                let id = operation.base_child("persist-id").map(|id| id.text.trim());
                self.cancel(session, id)?;
            }
            "discard-changes" if candidate => {
                known(operation, &[])?;
                self.discard(session)?;
            }
            "validate" if candidate => {
                known(operation, &["source"])?;
                let mut tree = self.source(operation)?;
                self.validate(&mut tree)?;
            }
            "copy-config" => {
                known(operation, &["target", "source"])?;
                let target = datastore(operation, "target")?;
                let new = self.source(operation)?;
                self.copy(session, target, new)?;
            }
            "delete-config" => {
                known(operation, &["target"])?;
                let target = datastore(operation, "target")?;
                if target != Datastore::Startup {
                    return Err(RpcError::protocol("operation-not-supported", "only startup can be deleted"));
                }
                self.copy(session, target, Tree::empty(self.running.schema()))?;
            }
            "kill-session" => {
                known(operation, &["session-id"])?;
                let victim = required(operation, "session-id")?.text.trim().parse();
                let victim =
                    victim.map_err(|_| RpcError::protocol("invalid-value", "session-id is no number"))?;
                self.kill(session, victim)?;
            }
            "close-session" => {
                known(operation, &[])?;
                self.close(session);
                return Ok(Answer::Goodbye);
            }
            _ => return Err(unsupported(operation)),
        }
        Ok(Answer::Ok)
    }

    /// Of a vendor's own model.
    fn read_native(&self, source: Datastore, operation: &Element) -> Result<Answer, RpcError> {
        self.tree(source)?;
        let native = self.native.as_ref().ok_or_else(|| unsupported(operation))?;
        Ok(Answer::Data(native.select(source == Datastore::Candidate, operation.base_child("filter"))))
    }

    fn edit_config(&mut self, session: SessionId, operation: &Element) -> Result<(), RpcError> {
        known(operation, &["target", "default-operation", "test-option", "error-option", "config"])?;
        let target = datastore(operation, "target")?;
        let text = |name| operation.base_child(name).map(|element| element.text.trim());
        let default_operation = match text("default-operation") {
            None => Operation::Merge,
            Some(given) => Operation::parse_default(given).ok_or_else(|| bad_value("default-operation"))?,
        };
        let validates = self.personality.has_candidate();
        let test_only = match text("test-option") {
            None => false,
            Some("test-then-set" | "set") if validates => false,
            Some("test-only") if validates => true,
            Some(_) => return Err(bad_value("test-option")),
        };
        let rollback_on_error = match text("error-option") {
            None | Some("stop-on-error" | "continue-on-error") => false,
            Some("rollback-on-error") if self.rolls_back() => true,
            Some(_) => return Err(bad_value("error-option")),
        };
        let how = EditOptions { default_operation, test_only, rollback_on_error };
        self.edit(session, target, required(operation, "config")?, &how)
    }

    fn commit_options(&self, operation: &Element) -> Result<CommitOptions, RpcError> {
        // Parameters of a capability that was not offered are unknown (RFC 6241 8).
        known(
            operation,
            match self.personality.confirm() {
                Confirm::None => &[],
                Confirm::SessionBound | Confirm::AnyCommit => &["confirmed", "confirm-timeout"],
                Confirm::Persist => &["confirmed", "confirm-timeout", "persist", "persist-id"],
            },
        )?;
        let text = |name| operation.base_child(name).map(|element| element.text.trim().to_owned());
        let timeout = match text("confirm-timeout") {
            None => CONFIRM_TIMEOUT,
            Some(seconds) => match seconds.parse::<u32>() {
                Ok(seconds) if seconds > 0 => Duration::from_secs(seconds.into()),
                _ => return Err(bad_value("confirm-timeout")),
            },
        };
        let confirmed = operation.base_child("confirmed").is_some();
        if !confirmed && (text("confirm-timeout").is_some() || text("persist").is_some()) {
            return Err(
                RpcError::protocol("missing-element", "it needs confirmed").info("bad-element", "confirmed")
            );
        }
        Ok(CommitOptions {
            timeout: confirmed.then_some(timeout),
            persist: text("persist"),
            persist_id: text("persist-id"),
        })
    }

    /// The configuration that `<source>` names or carries.
    fn source(&self, operation: &Element) -> Result<Tree, RpcError> {
        match required(operation, "source")?.base_child("config") {
            None => Ok(self.tree(datastore(operation, "source")?)?.copy()?),
            Some(config) => {
                let mut tree = Tree::empty(self.running.schema());
                edit::apply(&mut tree, config, Operation::Merge, &Quirks::default()).1?;
                Ok(tree)
            }
        }
    }
}

/// What of a tree the operation's filter selects.
fn read(tree: &Tree, operation: &Element) -> Result<Answer, RpcError> {
    let Some(filter) = operation.base_child("filter") else { return Ok(Answer::Data(tree.xml()?)) };
    match filter.attributes.iter().find(|attribute| attribute.name == "type") {
        Some(kind) if kind.value != "subtree" => {
            let error = RpcError::protocol("bad-attribute", "only subtree filters are known");
            Err(error.info("bad-attribute", "type").info("bad-element", "filter"))
        }
        _ => Ok(Answer::Data(filter::select(tree, &filter.children)?)),
    }
}

/// Refuses parameters that the operation does not have.
fn known(operation: &Element, names: &[&str]) -> Result<(), RpcError> {
    match operation.children.iter().find(|child| child.ns != BASE || !names.contains(&child.name.as_str())) {
        None => Ok(()),
        Some(child) => {
            let message = format!("{} has no such parameter here", operation.name);
            Err(RpcError::protocol("unknown-element", message).info("bad-element", &child.name))
        }
    }
}

fn required<'a>(operation: &'a Element, name: &str) -> Result<&'a Element, RpcError> {
    operation.base_child(name).ok_or_else(|| {
        RpcError::protocol("missing-element", "a parameter is missing").info("bad-element", name)
    })
}

/// The datastore named inside `<target>` or `<source>`.
fn datastore(operation: &Element, parameter: &str) -> Result<Datastore, RpcError> {
    let all = [Datastore::Candidate, Datastore::Running, Datastore::Startup];
    let given = required(operation, parameter)?;
    all.into_iter()
        .find(|datastore| given.base_child(datastore.name()).is_some())
        .ok_or_else(|| RpcError::protocol("bad-element", "no such datastore").info("bad-element", parameter))
}

fn bad_value(name: &str) -> RpcError {
    RpcError::protocol("invalid-value", format!("{name} has no such value here")).info("bad-element", name)
}

fn unsupported(operation: &Element) -> RpcError {
    RpcError::protocol("operation-not-supported", format!("{} is not supported", operation.name))
}
