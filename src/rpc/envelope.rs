//! The envelope of a JSON-RPC 2.0 request and of its answer.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::access::Principal;
use crate::intent::Caller;
use crate::rpc::error::RpcError;
use crate::rpc::json;

/// A request whose envelope is in order; its parameters have not been looked at.
#[derive(Debug)]
pub struct Envelope {
    /// Any JSON value, not unique; none for a notification.
    pub id: Option<Value>,
    pub method: String,
    pub params: Value,
}

impl Envelope {
    /// Opens a body. An error comes with the id to answer it with.
    pub fn open(body: &[u8]) -> Result<Self, (Value, RpcError)> {
        let mut request: Map<String, Value> = match json::parse(body) {
            Ok(Value::Object(request)) => request,
            Ok(Value::Array(_)) => {
                return Err(invalid(Value::Null, "batches are not supported: send one request a POST"));
            }
            Ok(_) => return Err(invalid(Value::Null, "a request is an object")),
            Err(error) => return Err((Value::Null, RpcError::Parse { why: error.to_string() })),
        };
        let id = request.remove("id");
        let fail = |why| invalid(id.clone().unwrap_or_default(), why);
        if request.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(fail("`jsonrpc` must be \"2.0\""));
        }
        let Some(Value::String(method)) = request.remove("method") else {
            return Err(fail("`method` must be a string"));
        };
        let params = request.remove("params").unwrap_or_else(|| json!({}));
        Ok(Self { id, method, params })
    }

    /// Who asked, from the context that came along. What is missing or of another type there stays
    /// empty: this is for the log and decides nothing.
    pub fn caller(&self, peer: &str, principal: &Arc<Principal>) -> Caller {
        // `plan` carries a whole other call.
        let context = self.params.get("context").or_else(|| self.params.get("params")?.get("context"));
        let text =
            |name| context.and_then(|context| context.get(name)).and_then(Value::as_str).map(printable);
        let roles = context.and_then(|context| context.get("roles")).and_then(Value::as_array);
        Caller {
            request_id: text("request_id")
                .or_else(|| self.id.as_ref().and_then(Value::as_str).map(printable))
                .unwrap_or_default(),
            user: text("user").or_else(|| text("user_id")),
            roles: roles.into_iter().flatten().filter_map(Value::as_str).take(32).map(printable).collect(),
            peer: peer.to_owned(),
            principal: principal.clone(),
            method: self.method.clone(),
        }
    }
}

/// The answer to a request.
pub fn close(id: Value, result: Result<Value, RpcError>) -> Value {
    match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error.to_json() }),
    }
}

fn invalid(id: Value, why: &'static str) -> (Value, RpcError) {
    (id, RpcError::InvalidRequest { why })
}

/// At most 255 characters, none of which can start a new line of the log.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(255).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &[u8]) -> (Value, i64) {
        let (id, error) = Envelope::open(body).unwrap_err();
        (id, error.code())
    }

    #[test]
    fn what_is_no_request_is_told_apart() {
        assert_eq!(code(b"{\"jsonrpc\""), (Value::Null, -32700));
        assert_eq!(code(b"\xff"), (Value::Null, -32700));
        assert_eq!(code("[".repeat(5000).as_bytes()), (Value::Null, -32700));
        for body in [&b"[]"[..], b"[{}]", b"3", b"null"] {
            assert_eq!(code(body), (Value::Null, -32600));
        }
        assert_eq!(code(br#"{"method": "update_port", "id": 7}"#), (json!(7), -32600));
        assert_eq!(code(br#"{"jsonrpc": "2.0", "method": 7, "id": [1]}"#), (json!([1]), -32600));
    }

    #[test]
    fn a_null_id_is_no_notification() {
        let open = |body: &str| Envelope::open(body.as_bytes()).unwrap().id;
        assert_eq!(open(r#"{"jsonrpc": "2.0", "method": "x", "id": null}"#), Some(Value::Null));
        assert_eq!(open(r#"{"jsonrpc": "2.0", "method": "x"}"#), None);
    }

    #[test]
    fn callers_are_read_leniently_and_without_tokens() {
        let body = json!({"jsonrpc": "2.0", "method": "x", "id": "req-1", "params": {"context": {
            "request_id": "req-2\n", "user": null, "user_id": "u", "roles": ["admin", 7], "auth_token": "t"}}});
        let caller = Envelope::open(body.to_string().as_bytes()).unwrap().caller("uid=0", &Arc::default());
        let expected = Caller {
            request_id: "req-2".into(),
            user: Some("u".into()),
            roles: vec!["admin".into()],
            peer: "uid=0".into(),
            principal: Arc::default(),
            method: "x".into(),
        };
        assert_eq!(caller, expected);
    }
}
