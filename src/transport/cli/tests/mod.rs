//! Terminals against a scripted device at the other end of a pipe, and a session on a shell that is none.

mod answers;
mod bridges;
mod logins;
mod sessions;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use super::{Output, Shell, Terminal};
use crate::config::reader::{Problems, read_text};
use crate::device::{Credential, Endpoint, HostKey, TerminalHabits};
use crate::transport::{Cause, Fault};

const HABITS: &str = r#"
prompt = '^[\w.\-/@()~:]+[>#]\s*$'
privileged = '#\s*$'
configuring = '\(config[^)]*\)#\s*$'
enable = "enable"
secret_question = '^[Pp]assword:\s*$'
configure = "configure terminal"
leave = "end"
pager = '--\s?[Mm]ore\s?--'
[[questions]]
after = '^copy running-config startup-config$'
match = '\?\s*$'
answer = ""
[[questions]]
after = '^copy running-config startup-config$'
match = 'Overwrite.*\]\s*$'
answer = "yes"
[[questions]]
after = '^$'
match = '^Press any key'
answer = ""
"#;

/// The device's side: it reads what is typed and says what a test tells it.
struct Peer {
    io: DuplexStream,
}

impl Peer {
    /// Exactly this is typed next.
    async fn takes(&mut self, typed: &str) {
        let mut bytes = vec![0; typed.len()];
        self.io.read_exact(&mut bytes).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), typed);
    }

    async fn says(&mut self, bytes: impl AsRef<[u8]>) {
        self.io.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Shows a prompt, and once more behind an empty line.
    async fn prompts(&mut self, prompt: &str) {
        self.says(prompt).await;
        self.takes("\n").await;
        self.says(format!("\r\n{prompt}")).await;
    }

    /// Says it byte by byte, each of them read before the next.
    async fn stutters(&mut self, text: &str) {
        for byte in text.bytes() {
            self.says([byte]).await;
            tokio::task::yield_now().await;
        }
    }

    /// Echoes a command and answers it.
    async fn answers(&mut self, command: &str, answer: &str) {
        self.takes(&format!("{command}\n")).await;
        self.says(format!("{command}\r\n{answer}")).await;
    }

    /// Nothing more is typed before the other side ends.
    async fn takes_no_more(&mut self) {
        let mut rest = Vec::new();
        self.io.read_to_end(&mut rest).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
}

fn habits(more: &str) -> Arc<TerminalHabits> {
    habits_of(&format!("{more}\n{HABITS}"))
}

fn habits_of(text: &str) -> Arc<TerminalHabits> {
    let problems = Problems::default();
    let read = read_text(Path::new("p.toml"), text, &problems, TerminalHabits::read);
    Arc::new(problems.finish(read).unwrap())
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn refused(output: &Output) -> bool {
    output.text.contains("% Invalid")
}

/// Logs in to what `device` plays.
async fn login<T>(
    more: &str,
    secret: Option<&str>,
    device: impl AsyncFnOnce(&mut Peer) -> T,
) -> (Result<Terminal, Cause>, Peer) {
    let mut endpoint = endpoint(Credential::NotLoaded);
    endpoint.enable_secret = secret.map(SecretString::from);
    login_as(habits(more), &endpoint, device).await
}

/// Logs in as somebody, with habits of their own.
async fn login_as<T>(
    habits: Arc<TerminalHabits>,
    endpoint: &Endpoint,
    device: impl AsyncFnOnce(&mut Peer) -> T,
) -> (Result<Terminal, Cause>, Peer) {
    let (ours, io) = duplex(1 << 16);
    let mut peer = Peer { io };
    let opening = Terminal::open(Box::new(ours), habits, endpoint, &refused, soon());
    let (opened, _) = tokio::join!(opening, device(&mut peer));
    (opened, peer)
}

fn endpoint(credential: Credential) -> Endpoint {
    Endpoint {
        address: "192.0.2.1".to_owned(),
        port: 22,
        username: "operator".to_owned(),
        credential,
        credential_from: String::new(),
        enable_secret: None,
        host_key: HostKey::Pinned(String::new()),
        cli_port: None,
        gnmi: None,
    }
}

/// A device that stands at `sw#` and echoes what is typed.
async fn at_prompt() -> (Terminal, Peer) {
    let (terminal, peer) = login("", None, async |peer| {
        peer.prompts("sw#").await;
    })
    .await;
    (terminal.unwrap(), peer)
}

/// The same without any echo.
async fn without_echo() -> (Terminal, Peer) {
    let (terminal, peer) = login("", None, async |peer| {
        peer.says("sw# ").await;
        peer.takes("\n").await;
        peer.says("sw# ").await;
    })
    .await;
    (terminal.unwrap(), peer)
}

fn lost(result: Result<Output, Fault>) -> Cause {
    match result {
        Err(Fault::Lost(cause)) => cause,
        other => panic!("{other:?}"),
    }
}
