//! The agent that a node's deploy ramdisk would run: it takes every command and says that all went well.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Answers Ironic's commands for one node, until the test's runtime ends.
pub struct Agent {
    /// `http://127.0.0.1:PORT`; the node's image is at `/image.raw`.
    pub url: String,
    commands: Commands,
}

type Commands = Arc<Mutex<Vec<Value>>>;

/// The one step that its hardware offers, in each kind of step.
pub const STEP: &str = "polish";

impl Agent {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let commands = Commands::default();
        let app = Router::new().fallback(answer).with_state(commands.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, commands }
    }

    /// The ramdisk boots anew: what it was told before is forgotten.
    pub fn boot(&self) {
        self.commands.lock().expect("nobody panics with it").clear();
    }
}

async fn answer(State(commands): State<Commands>, method: Method, uri: Uri, body: Bytes) -> Response {
    if method == Method::POST {
        let command: Value = serde_json::from_slice(&body).expect("Ironic sends JSON");
        let mut commands = commands.lock().expect("nobody panics with it");
        let done = execute(&command, commands.len());
        commands.push(done.clone());
        return done.to_string().into_response();
    }
    if uri.path().starts_with("/image") {
        // axum leaves the body out of an answer to HEAD.
        return Body::from(vec![b'x'; 1024]).into_response();
    }
    let commands = commands.lock().expect("nobody panics with it").clone();
    json!({ "commands": commands }).to_string().into_response()
}

fn execute(command: &Value, id: usize) -> Value {
    let name = command["name"].as_str().expect("a command has a name");
    let name = name.split_once('.').map_or(name, |(_, name)| name);
    let mut result = Value::Null;
    for (kind, priority) in [("clean", 10), ("deploy", 90), ("service", 0)] {
        if name == format!("get_{kind}_steps") {
            let step = json!({ "step": STEP, "interface": "deploy", "priority": priority,
                "reboot_requested": false, "abortable": true });
            result = json!({ format!("{kind}_steps"): { "Hardware": [step] },
                "hardware_manager_version": { "Hardware": "1" } });
        } else if name == format!("execute_{kind}_step") {
            let step = &command["params"]["step"];
            result = json!({ format!("{kind}_result"): null, format!("{kind}_step"): step });
        }
    }
    json!({ "id": id.to_string(), "command_name": name, "command_params": command["params"],
        "command_status": "SUCCEEDED", "command_error": null, "command_result": result })
}
