//! An SSH connection to a device's netconf subsystem (RFC 6242). No credential leaves before the
//! host key is known to be right; nothing lasts beyond the deadline.

use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use russh::client::{self, AuthResult, Handle, KeyboardInteractiveAuthResponse as Interactive, Msg};
use russh::keys::{Algorithm, PrivateKeyWithHashAlg, PublicKeyOrCertificate, decode_secret_key};
use russh::{ChannelMsg, ChannelStream, MethodKind, MethodSet};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::algorithms::{groups, preferred, rsa_hashes};
use super::host_key::Trusted;
use super::link::Stream;
use crate::device::{Credential, Endpoint, SshHabits};
use crate::transport::{Cause, shown};

/// Keepalives without an answer before a connection counts as dead.
const KEEPALIVE_MAX: usize = 3;
/// Rounds of questions a keyboard-interactive login may take.
const MAX_ROUNDS: usize = 4;

/// Connects, logs in and opens the netconf subsystem.
pub async fn connect(
    endpoint: &Endpoint,
    habits: &SshHabits,
    deadline: Instant,
) -> Result<Box<dyn Stream>, Cause> {
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
    let socket = at.within("connecting", socket).await?.map_err(|error| at.failed(error))?;
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
    let channel = at.within("opening the netconf subsystem", at.subsystem(&handle)).await??;
    Ok(Box::new(SshStream { channel, _handle: handle, _cut: cut }))
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

    fn refused(&self, offered: impl ToString) -> Cause {
        Cause::Login {
            address: self.address.clone(),
            user: self.endpoint.username.clone(),
            offered: offered.to_string(),
        }
    }

    async fn trusted(&self) -> Result<Trusted, Cause> {
        let endpoint = self.endpoint.clone();
        let load = tokio::task::spawn_blocking(move || Trusted::load(&endpoint));
        let loaded = self.within("reading the known host keys", load).await?;
        let loaded = loaded.unwrap_or_else(|error| Err(error.to_string()));
        loaded.map_err(|why| Cause::HostKey { address: self.address.clone(), why })
    }

    async fn login(&self, handle: &mut Handle<Verifier>, habits: &SshHabits) -> Result<(), Cause> {
        match &self.endpoint.credential {
            Credential::Key(key) => self.login_with_key(handle, key, habits).await,
            Credential::Password(password) => self.login_with_password(handle, password).await,
            Credential::NotLoaded => Err(self.refused("its credential was not loaded")),
        }
    }

    async fn login_with_key(
        &self,
        handle: &mut Handle<Verifier>,
        key: &SecretString,
        habits: &SshHabits,
    ) -> Result<(), Cause> {
        let key = decode_secret_key(key.expose_secret(), None)
            .map_err(|_| self.refused("our private key cannot be read"))?;
        let key = Arc::new(key);
        let hashes = match key.algorithm() {
            Algorithm::Rsa { .. } => {
                let server = handle.best_supported_rsa_hash().await.map_err(|error| self.failed(error))?;
                rsa_hashes(server, &habits.algorithms)
            }
            _ => vec![None],
        };
        let mut offered =
            "it takes RSA signatures only by ssh-rsa, which its profile does not allow".to_owned();
        for hash in hashes {
            let key = PrivateKeyWithHashAlg::new(key.clone(), hash);
            let answer = handle.authenticate_publickey(&self.endpoint.username, key).await;
            match answer.map_err(|error| self.failed(error))? {
                AuthResult::Success => return Ok(()),
                AuthResult::Failure { remaining_methods, .. } => offered = offers(handle, &remaining_methods),
            }
        }
        Err(self.refused(offered))
    }

    async fn login_with_password(
        &self,
        handle: &mut Handle<Verifier>,
        password: &SecretString,
    ) -> Result<(), Cause> {
        let user = &self.endpoint.username;
        let answer = handle.authenticate_password(user, password.expose_secret()).await;
        let methods = match answer.map_err(|error| self.failed(error))? {
            AuthResult::Success => return Ok(()),
            AuthResult::Failure { remaining_methods, .. } => remaining_methods,
        };
        if !methods.contains(&MethodKind::KeyboardInteractive) {
            return Err(self.refused(offers(handle, &methods)));
        }
        let mut answer = handle.authenticate_keyboard_interactive_start(user, None).await;
        let mut told = false;
        for _ in 0..MAX_ROUNDS {
            let prompts = match answer.map_err(|error| self.failed(error))? {
                Interactive::Success => return Ok(()),
                Interactive::Failure { remaining_methods, .. } => {
                    return Err(self.refused(offers(handle, &remaining_methods)));
                }
                Interactive::InfoRequest { prompts, .. } => prompts,
            };
            // One hidden question is the password's. A visible one, or another, is not: a new
            // password, a code, a trap.
            let responses = match prompts.as_slice() {
                [] => Vec::new(),
                [prompt] if !prompt.echo && !told => {
                    told = true;
                    vec![password.expose_secret().to_owned()]
                }
                _ => return Err(self.refused("keyboard-interactive asks for more than a password")),
            };
            answer = handle.authenticate_keyboard_interactive_respond(responses).await;
        }
        Err(self.refused("keyboard-interactive does not come to an end"))
    }

    async fn subsystem(&self, handle: &Handle<Verifier>) -> Result<ChannelStream<Msg>, Cause> {
        let mut channel = handle.channel_open_session().await.map_err(|error| self.failed(error))?;
        channel.request_subsystem(true, "netconf").await.map_err(|error| self.failed(error))?;
        loop {
            match channel.wait().await {
                Some(ChannelMsg::Success) => return Ok(channel.into_stream()),
                Some(ChannelMsg::WindowAdjusted { .. }) => {}
                Some(ChannelMsg::Failure) => {
                    return Err(Cause::Unsupported("the device has no netconf subsystem".to_owned()));
                }
                _ => return Err(self.failed("the netconf subsystem did not open")),
            }
        }
    }
}

fn offers(handle: &Handle<Verifier>, methods: &MethodSet) -> String {
    let names: Vec<&str> = methods.iter().map(<&str>::from).collect();
    match names.is_empty() {
        true if handle.is_closed() => "it closed the connection".to_owned(),
        true => "it offers nothing else".to_owned(),
        false => format!("it offers {}", names.join(", ")),
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

/// The subsystem's channel with what has to live as long.
struct SshStream {
    channel: ChannelStream<Msg>,
    _handle: Handle<Verifier>,
    _cut: Cut,
}

impl AsyncRead for SshStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.channel).poll_read(context, buffer)
    }
}

impl AsyncWrite for SshStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.channel).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.channel).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.channel).poll_shutdown(context)
    }
}
