//! One request's body, and what its answer says.

use serde_json::{Value, json};
use uuid::Uuid;

use super::error::{ClientError, RpcFailure};

/// A request as it is sent.
pub struct Envelope {
    /// `req-<uuid>`, or the request_id of the caller's own context.
    pub id: String,
    pub body: String,
}

/// Wraps named parameters. Their `context`, which says who asks and why, is made where it is missing
/// and gets a `request_id` if it has none.
pub fn close(method: &str, params: Value) -> Result<Envelope, ClientError> {
    let wrong = |what: &str, why: &str| ClientError::Setup { what: what.to_owned(), why: why.to_owned() };
    let Value::Object(mut params) = params else {
        return Err(wrong("params", "they must be a JSON object"));
    };
    let context = params.entry("context").or_insert_with(|| json!({}));
    let Value::Object(context) = context else {
        return Err(wrong("params.context", "it must be a JSON object"));
    };
    let id = context.entry("request_id").or_insert_with(|| json!(format!("req-{}", Uuid::new_v4())));
    let Some(id) = id.as_str().map(str::to_owned) else {
        return Err(wrong("params.context.request_id", "it must be a string"));
    };
    let body = json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": id }).to_string();
    Ok(Envelope { id, body })
}

/// The result in an answer to the request `id`.
pub fn open(body: &[u8], id: &str, to: &str) -> Result<Value, ClientError> {
    let malformed = |why: String| ClientError::Malformed { to: to.to_owned(), why };
    let mut answer: Value = serde_json::from_slice(body)
        .map_err(|error| malformed(format!("the answer is not the JSON it should be: {error}")))?;
    if answer["jsonrpc"] != "2.0" {
        return Err(malformed("the answer is not JSON-RPC 2.0's".to_owned()));
    }
    // An error in a request that could not be read comes without its id.
    let has_no_id = answer["id"].is_null() && answer.get("error").is_some();
    if answer["id"] != id && !has_no_id {
        return Err(malformed("the answer is to another request".to_owned()));
    }
    match (answer.get("result").is_some(), answer.get("error").is_some()) {
        (true, false) => Ok(answer["result"].take()),
        (false, true) => {
            let error = &mut answer["error"];
            let (Some(code), Some(message)) = (error["code"].as_i64(), error["message"].as_str()) else {
                return Err(malformed("the answer's error has no code or no message".to_owned()));
            };
            let message = message.to_owned();
            Err(RpcFailure { code, message, data: error["data"].take() }.into())
        }
        _ => Err(malformed("the answer has neither a result nor an error, or both".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_keeps_what_it_has_and_gets_a_request_id() {
        let envelope = close("m", json!({ "port": 1, "context": { "user": "u" } })).unwrap();
        let sent: Value = serde_json::from_str(&envelope.body).unwrap();
        assert_eq!(sent["params"]["context"], json!({ "user": "u", "request_id": envelope.id }));
        assert_eq!(
            (&sent["id"], &sent["method"], &sent["params"]["port"]),
            (&json!(envelope.id), &json!("m"), &json!(1))
        );
        let uuid: Uuid = envelope.id.strip_prefix("req-").unwrap().parse().unwrap();
        assert_eq!(uuid.get_version_num(), 4);
        assert_ne!(close("m", json!({})).unwrap().id, close("m", json!({})).unwrap().id);
        let own = close("m", json!({ "context": { "request_id": "req-mine" } })).unwrap();
        assert_eq!(own.id, "req-mine");
    }

    #[test]
    fn parameters_that_cannot_be_sent_are_named() {
        for (params, what) in [
            (json!([]), "params:"),
            (json!(null), "params:"),
            (json!({ "context": null }), "params.context:"),
            (json!({ "context": { "request_id": 7 } }), "params.context.request_id:"),
        ] {
            let error = close("m", params).err().unwrap();
            assert!(matches!(error, ClientError::Setup { .. }) && !error.is_outcome_unknown());
            assert!(error.to_string().starts_with(what), "{error}");
        }
    }

    #[test]
    fn answers_are_results_errors_or_malformed() {
        let open = |answer: &str| open(answer.as_bytes(), "req-1", "there");
        assert_eq!(open(r#"{"jsonrpc": "2.0", "id": "req-1", "result": null}"#).unwrap(), Value::Null);
        let data =
            r#"{"class": "ironic.common.exception.NetworkError", "outcome": "unknown", "phase": "commit"}"#;
        let error = format!(
            r#"{{"jsonrpc": "2.0", "id": "req-1", "error": {{"code": 500, "message": "no", "data": {data}}}}}"#
        );
        let error = open(&error).unwrap_err();
        assert!(error.is_outcome_unknown());
        let ClientError::Rpc(failure) = error else { panic!("{error}") };
        assert_eq!(
            (failure.code, failure.class(), failure.outcome(), failure.phase()),
            (500, "NetworkError", "unknown", "commit")
        );
        let parse = open(r#"{"jsonrpc": "2.0", "id": null, "error": {"code": -32700, "message": "no"}}"#);
        let parse = parse.unwrap_err();
        assert!(matches!(&parse, ClientError::Rpc(failure) if failure.class().is_empty()), "{parse}");
        assert!(!parse.is_outcome_unknown());
        for malformed in [
            "",
            "<html>",
            "null",
            "[]",
            r#"{"jsonrpc": "2.0", "id": "req-1"}"#,
            r#"{"jsonrpc": "1.0", "id": "req-1", "result": 1}"#,
            r#"{"jsonrpc": "2.0", "id": "req-2", "result": 1}"#,
            r#"{"jsonrpc": "2.0", "id": null, "result": 1}"#,
            r#"{"jsonrpc": "2.0", "id": "req-1", "result": 1, "error": {"code": 1, "message": "m"}}"#,
            r#"{"jsonrpc": "2.0", "id": "req-1", "error": {"message": "m"}}"#,
            r#"{"jsonrpc": "2.0", "id": "req-1", "error": "m"}"#,
        ] {
            let error = open(malformed).unwrap_err();
            assert!(matches!(error, ClientError::Malformed { .. }), "{malformed}: {error}");
            assert!(error.is_outcome_unknown());
        }
    }
}
