//! ncclient, the Python library that most tools use, doing the same rpcs.

use serde_json::json;

use crate::attach::Target;
use crate::python::Python;

/// A Python process with one session.
pub struct Ncclient(Python);

impl Ncclient {
    /// Starts Python; nothing is connected yet.
    pub fn start(target: &Target) -> Self {
        let port = target.port.to_string();
        let arguments = [port.as_ref(), target.username.as_ref(), target.key.as_os_str()];
        Self(Python::start("ncclient_attach.py", arguments))
    }

    /// Opens a session, after closing the one before.
    pub fn connect(&mut self) {
        self.0.order(&json!({}));
    }

    pub fn attach(&mut self, edit: &str, filter: &str) {
        self.0.order(&json!({ "edit": edit, "filter": filter }));
    }
}
