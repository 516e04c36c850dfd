//! SSH connections (RFC 4253, RFC 4254), whatever runs over them: NETCONF's subsystem, a command on
//! a channel of its own, or a shell. No credential leaves before the host key is known to be
//! right; nothing lasts beyond the deadline.

mod channel;
mod host_key;
mod login;

use std::io::ErrorKind;
use std::net::Shutdown;
use std::sync::{Arc, OnceLock};

use russh::client::{self, Handle};
use russh::keys::PublicKeyOrCertificate;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::algorithms::{groups, preferred};
use crate::device::{Endpoint, SshHabits};
use crate::transport::{Cause, shown};
use host_key::Trusted;

pub use channel::Executed;

/// Keepalives without an answer before a connection counts as dead.
const KEEPALIVE_MAX: usize = 3;

/// What a session runs over: a channel, or in tests a pipe.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that is logged in. It ends when this and all its streams are gone.
pub struct Connection {
    wire: Arc<Wire>,
    /// For people.
    address: String,
}

/// What channels need to live.
struct Wire {
    handle: Handle<Verifier>,
    _cut: Cut,
}

/// Connects and logs in.
pub async fn connect(
    endpoint: &Endpoint,
    habits: &SshHabits,
    deadline: Instant,
) -> Result<Connection, Cause> {
    let at = Place { endpoint, address: format!("{} port {}", endpoint.address, endpoint.port), deadline };
    let trusted = at.trusted().await?;
    let config = client::Config {
        preferred: preferred(&habits.algorithms, &trusted.keys()).map_err(Cause::Unsupported)?,
        gex: groups(&habits.algorithms).map_err(|error| at.failed(error))?,
        // russh sends none before the login.
        keepalive_interval: habits.keepalive,
        keepalive_max: KEEPALIVE_MAX,
        ..client::Config::default()
    };
    let socket = TcpStream::connect((endpoint.address.as_str(), endpoint.port));
    let socket = at.within("connecting", socket).await?.map_err(|error| match error.kind() {
        ErrorKind::ConnectionRefused => Cause::Absent { address: at.address.clone(), why: error.to_string() },
        _ => at.failed(error),
    })?;
    socket.set_nodelay(true).map_err(|error| at.failed(error))?;
    let (socket, cut) = Cut::split(socket).map_err(|error| at.failed(error))?;

    let refusal = Arc::new(OnceLock::new());
    let verifier = Verifier { trusted, refusal: refusal.clone() };
    let handle = client::connect_stream(Arc::new(config), socket, verifier);
    let handle = at.within("exchanging SSH keys", handle).await?;
    let mut handle = handle.map_err(|error| match refusal.get() {
        Some(why) => Cause::HostKey { address: at.address.clone(), why: why.clone() },
        None => at.failed(explain(error)),
    })?;
    at.within("logging in", at.login(&mut handle, habits)).await??;
    Ok(Connection { wire: Arc::new(Wire { handle, _cut: cut }), address: at.address })
}

/// Whom to reach, and until when.
struct Place<'e> {
    endpoint: &'e Endpoint,
    /// For people.
    address: String,
    deadline: Instant,
}

impl Place<'_> {
    async fn within<F: Future>(&self, doing: &'static str, step: F) -> Result<F::Output, Cause> {
        timeout_at(self.deadline, step).await.map_err(|_| Cause::Deadline(doing))
    }

    fn failed(&self, why: impl ToString) -> Cause {
        Cause::Connect { address: self.address.clone(), why: why.to_string() }
    }

    async fn trusted(&self) -> Result<Trusted, Cause> {
        let endpoint = self.endpoint.clone();
        let load = tokio::task::spawn_blocking(move || Trusted::load(&endpoint));
        let loaded = self.within("reading the known host keys", load).await?;
        let loaded = loaded.unwrap_or_else(|error| Err(error.to_string()));
        loaded.map_err(|why| Cause::HostKey { address: self.address.clone(), why })
    }
}

/// A missing common algorithm is what operators meet most on old devices: say what would help.
fn explain(error: russh::Error) -> String {
    match error {
        russh::Error::NoCommonAlgo { kind, theirs, .. } => {
            format!("no common {kind:?} algorithm; it offers {}", shown(&theirs.join(", ")))
        }
        error => error.to_string(),
    }
}

/// Decides about the host key before anything is told to the server.
struct Verifier {
    trusted: Trusted,
    refusal: Arc<OnceLock<String>>,
}

impl client::Handler for Verifier {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let verdict = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => self.trusted.check(key),
            PublicKeyOrCertificate::Certificate(_) => Err("it shows a certificate".to_owned()),
        };
        Ok(match verdict {
            Ok(()) => true,
            Err(why) => {
                // The first refusal is the one to tell.
                self.refusal.get_or_init(|| why);
                false
            }
        })
    }
}

/// Shuts a connection down when it goes, whatever its owner waits for: a peer that stops reading
/// or hangs in a key exchange would keep russh's task for ever.
struct Cut(std::net::TcpStream);

impl Cut {
    fn split(socket: TcpStream) -> std::io::Result<(TcpStream, Self)> {
        let socket = socket.into_std()?;
        let cut = Self(socket.try_clone()?);
        Ok((TcpStream::from_std(socket)?, cut))
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        // It fails where the peer was faster.
        self.0.shutdown(Shutdown::Both).ok();
    }
}
