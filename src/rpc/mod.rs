//! JSON-RPC 2.0 over HTTP: two vocabularies in, one [`Call`] to the engine, codes out.
//!
//! [`server`] moves bytes, over [`tls`], and [`auth`] says who sends them, [`envelope`] opens and closes
//! them, [`ironic`], [`lags`] and [`ports`] turn named [`arguments`] into a call, [`queries`] into a
//! question, [`error`] turns every failure into a code. Nothing here contacts a
//! device: a call that cannot be understood ends before the engine hears of it.

pub mod arguments;
pub mod auth;
pub mod envelope;
pub mod error;
mod in_place;
pub mod ironic;
mod json;
pub mod lags;
mod neutron;
pub mod ports;
pub mod queries;
pub mod server;
pub mod tls;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::FutureExt;
use serde_json::Value;
use tracing::{info, warn};

use crate::access::Principal;
use crate::audit;
use crate::intent::{Caller, Request};
use crate::metrics;
use crate::query::Seen;
use crate::quote::quoted;
use crate::report::{Call, Change, Refusal, Target};
use crate::world::World;
use envelope::Envelope;
use error::RpcError;

pub use auth::{Authenticator, Policy};
pub use server::{Listener, RpcLimits, serve};

/// What carries calls out.
#[async_trait]
pub trait Engine: Send + Sync {
    /// The configuration that a request is judged by, from here to its answer.
    fn world(&self) -> Arc<World>;

    /// Returns when the change has ended one way or another, or was refused and nothing was changed.
    async fn change(&self, call: Call, world: Arc<World>) -> Result<Change, Refusal>;

    /// What the devices of these requests run and report, by name. Nothing is locked or changed.
    async fn observe(
        &self,
        requests: &[Request],
        world: &Arc<World>,
    ) -> Result<BTreeMap<String, Seen>, Refusal>;

    /// Whether new calls are refused because the service ends.
    fn is_stopping(&self) -> bool {
        false
    }
}

/// What a request asks for.
#[derive(Debug)]
pub enum Asked {
    /// A change; success is answered with `answer` or, without one, with the change itself.
    Change { call: Box<Call>, answer: Option<Value> },
    /// Nothing has to be done, and why.
    Nothing { why: &'static str },
    /// Nothing but an answer, and this is it.
    Known(Value),
    /// An answer that the devices have to give.
    Question(queries::Question),
}

/// Serves one request, from its body to its answer; a notification has none.
pub async fn answer(
    body: Vec<u8>,
    peer: &str,
    principal: &Arc<Principal>,
    engine: &Arc<dyn Engine>,
) -> Option<Value> {
    let arrived = Instant::now();
    let opened = Envelope::open(&body);
    // A call may take a minute: what it came as must not stay in memory for so long.
    drop(body);
    let envelope = match opened {
        Ok(envelope) => envelope,
        Err((id, error)) => {
            warn!(peer, %principal, code = error.code(), %error, "malformed request");
            metrics::called("", Some(error.code()), arrived.elapsed());
            return Some(envelope::close(id, Err(error)));
        }
    };
    let caller = envelope.caller(peer, principal);
    let Envelope { id, method, params } = envelope;
    let mut ports = Vec::new();
    let result = carry_out(&method, params, caller.clone(), engine, &mut ports).await;
    let code = result.as_ref().err().map(RpcError::code);
    match &result {
        // How a change ended is the engine's line in the audit.
        Ok(_) | Err(RpcError::Failed(_)) => {}
        Err(error @ RpcError::Broken) if is_change(&method) => {
            audit::broken(&caller, &ports, error.code(), &error.to_string());
        }
        Err(error) if is_change(&method) => audit::refused(&caller, &ports, error.code(), &error.to_string()),
        Err(error) => warn!(
            method = %quoted(&method),
            peer,
            %principal,
            request_id = %caller.request_id,
            code,
            %error,
            "request refused"
        ),
    }
    metrics::called(&method, code, arrived.elapsed());
    id.map(|id| envelope::close(id, result))
}

/// `ports` gets what the call names, as soon as that is known: each switch and port.
async fn carry_out(
    method: &str,
    params: Value,
    caller: Caller,
    engine: &Arc<dyn Engine>,
    ports: &mut Vec<(String, String)>,
) -> Result<Value, RpcError> {
    let request_id = caller.request_id.clone();
    let world = engine.world();
    if !world.access.allows_method(&caller.principal, method) {
        let what = quoted(method);
        return Err(Refusal::Denied { who: caller.principal, what }.into());
    }
    let asked = understand(method, &params, caller, &world)?;
    drop(params);
    match asked {
        Asked::Nothing { why } => {
            info!(method, request_id, "unchanged: {why}");
            to_json(&Change { outcome: "unchanged", devices: Vec::new() })
        }
        Asked::Known(answer) => Ok(answer),
        Asked::Question(question) => {
            let seen = AssertUnwindSafe(engine.observe(&question.requests, &world)).catch_unwind().await;
            let answer = question.answer(&seen.map_err(|_| RpcError::Unanswered)??, &world)?;
            info!(method, request_id, "answered, nothing was changed");
            Ok(answer)
        }
        Asked::Change { call, answer } => {
            ports.extend(call.targets.iter().map(Target::names));
            let change = AssertUnwindSafe(engine.change(*call, world)).catch_unwind().await;
            let change = change.map_err(|_| RpcError::Broken)??;
            if !matches!(change.outcome, "planned" | "unchanged" | "applied") {
                return Err(RpcError::Failed(change));
            }
            answer.map_or_else(|| to_json(&change), Ok)
        }
    }
}

/// Whether a method changes switches, so that its refusal belongs into the audit.
fn is_change(method: &str) -> bool {
    let changes = [
        "update_port",
        "reset_port",
        "update_lag",
        "delete_lag",
        "attach_port",
        "detach_port",
        "add_network",
        "delete_network",
    ];
    changes.contains(&method)
}

/// What a method with named parameters asks for, in either vocabulary.
pub fn understand(method: &str, params: &Value, caller: Caller, world: &World) -> Result<Asked, RpcError> {
    let inventory = &world.inventory;
    match method {
        // One name, two vocabularies: Ironic names a switch, ML2 passes a port.
        "update_port" if params.get("port").is_some() && params.get("switch_id").is_none() => {
            ports::update_port(params, caller, inventory)
        }
        "update_port" => ironic::update_port(params, caller),
        "reset_port" => ironic::reset_port(params, caller),
        "attach_port" => ports::attach_port(params, caller, inventory),
        "detach_port" => ports::detach_port(params, caller),
        "add_network" => ports::add_network(params, caller, inventory),
        "delete_network" => ports::delete_network(params, caller, inventory),
        "update_lag" => lags::update_lag(params, &caller, world),
        "delete_lag" => lags::delete_lag(params, &caller, world),
        "get_switches" => queries::get_switches(params, &caller, world),
        "get_allowed_network_types" => queries::get_allowed_network_types(params, &caller, world),
        "is_port_supported" => queries::is_port_supported(params),
        "is_link_valid" => queries::is_link_valid(params, caller, world),
        "check_port" => queries::check_port(params, caller, world),
        "plan" => queries::plan(params, caller, world),
        other => Err(RpcError::UnknownMethod { method: quoted(other) }),
    }
}

fn to_json(change: &Change) -> Result<Value, RpcError> {
    serde_json::to_value(change).map_err(|_| RpcError::Broken)
}
