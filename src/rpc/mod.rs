//! JSON-RPC 2.0 over HTTP: two vocabularies in, one [`Call`] to the engine, codes out.
//!
//! [`server`] moves bytes, [`envelope`] opens and closes them, [`ironic`] and [`ports`] turn named
//! [`arguments`] into a call, [`error`] turns every failure into a code. Nothing here contacts a
//! device: a call that cannot be understood ends before the engine hears of it.

pub mod arguments;
pub mod envelope;
pub mod error;
pub mod ironic;
mod neutron;
pub mod ports;
pub mod server;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use serde_json::Value;
use tracing::{info, warn};

use crate::intent::Caller;
use crate::report::{Call, Change, Refusal};
use crate::world::World;
use envelope::Envelope;
use error::RpcError;

pub use server::{Listener, RpcLimits, serve};

/// What carries calls out.
#[async_trait]
pub trait Engine: Send + Sync {
    /// The configuration that a request is judged by, from here to its answer.
    fn world(&self) -> Arc<World>;

    /// Returns when the change has ended one way or another, or was refused and nothing was changed.
    async fn change(&self, call: Call, world: Arc<World>) -> Result<Change, Refusal>;
}

/// What a request asks for.
#[derive(Debug)]
pub enum Asked {
    /// A change; success is answered with `answer` or, without one, with the change itself.
    Change { call: Call, answer: Option<Value> },
    /// Nothing has to be done, and why.
    Nothing { why: &'static str },
}

/// Serves one request, from its body to its answer; a notification has none.
pub async fn answer(body: &[u8], peer: &str, engine: &Arc<dyn Engine>) -> Option<Value> {
    let envelope = match Envelope::open(body) {
        Ok(envelope) => envelope,
        Err((id, error)) => {
            warn!(peer, code = error.code(), %error, "malformed request");
            return Some(envelope::close(id, Err(error)));
        }
    };
    let caller = envelope.caller(peer);
    let result = carry_out(&envelope, caller.clone(), engine).await;
    match &result {
        // How a change ended is the engine's line in the log.
        Ok(_) | Err(RpcError::Failed(_)) => {}
        Err(error) => warn!(
            method = %error::quoted(&envelope.method),
            peer,
            request_id = %caller.request_id,
            code = error.code(),
            %error,
            "request refused"
        ),
    }
    envelope.id.map(|id| envelope::close(id, result))
}

async fn carry_out(envelope: &Envelope, caller: Caller, engine: &Arc<dyn Engine>) -> Result<Value, RpcError> {
    let request_id = caller.request_id.clone();
    let world = engine.world();
    match understand(&envelope.method, &envelope.params, caller, &world)? {
        Asked::Nothing { why } => {
            info!(method = %envelope.method, request_id, "unchanged: {why}");
            to_json(&Change { outcome: "unchanged", devices: Vec::new() })
        }
        Asked::Change { call, answer } => {
            let change = AssertUnwindSafe(engine.change(call, world)).catch_unwind().await;
            let change = change.map_err(|_| RpcError::Broken)??;
            if !matches!(change.outcome, "planned" | "unchanged" | "applied") {
                return Err(RpcError::Failed(change));
            }
            answer.map_or_else(|| to_json(&change), Ok)
        }
    }
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
        other => Err(RpcError::UnknownMethod { method: error::quoted(other) }),
    }
}

fn to_json(change: &Change) -> Result<Value, RpcError> {
    serde_json::to_value(change).map_err(|_| RpcError::Broken)
}
