//! SSH, the carrier of the sessions: who may log in, and what is asked for on a channel.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use russh::keys::ssh_key::{self, LineEnding, PublicKey};
use russh::keys::{Algorithm, PrivateKey};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, Response, RunningServerHandle, Server, Session,
    VerifiedPublicKey,
};
use russh::{Channel, ChannelId, Disconnect, MethodKind, MethodSet, Pty};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;

use super::SimError;

/// Who may log in, and as what the server shows itself.
#[derive(Clone, Copy)]
pub(super) struct Access<'a> {
    /// The switch's name, for errors.
    pub switch: &'a str,
    pub username: &'a str,
    /// Also asked for in keyboard-interactive.
    pub password: Option<&'a SecretString>,
    /// An OpenSSH public key.
    pub authorized_key: Option<&'a str>,
    /// The private key in OpenSSH's format; without it a new one is made.
    pub host_key: Option<&'a SecretString>,
}

/// What a client wants on a channel.
pub(super) enum Ask {
    Subsystem(String),
    Shell,
    Exec(String),
}

/// What happens to the connection when a channel is served.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Keep,
    Disconnect,
}

/// What listens behind the server.
pub(super) trait Service: Send + Sync {
    /// Serves one channel until its end. The channel back: this is not offered.
    fn serve(&self, ask: Ask, channel: Channel<Msg>) -> Result<BoxFuture<'static, After>, Channel<Msg>>;
}

/// A listening SSH server. Dropping it closes all of its connections.
pub(super) struct Listener {
    pub address: SocketAddr,
    pub host_key: String,
    handle: RunningServerHandle,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.handle.shutdown("the switch is shut down".to_owned());
    }
}

fn new_host_key() -> Result<PrivateKey, ssh_key::Error> {
    PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519)
}

/// Makes a host key for [`super::SwitchSpec::host_key`] and keeps it in a file that only we can read.
///
/// # Errors
/// The file exists already or cannot be written.
pub fn write_host_key(file: &Path) -> std::io::Result<SecretString> {
    let key = new_host_key().and_then(|key| key.to_openssh(LineEnding::LF)).map_err(std::io::Error::other)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(key.as_bytes())?;
    Ok(SecretString::from(key.as_str()))
}

pub(super) async fn listen(
    access: Access<'_>,
    service: Arc<dyn Service>,
    bind: SocketAddr,
) -> Result<Listener, SimError> {
    let bad_key = |source| SimError::Key { switch: access.switch.to_owned(), source };
    let bad_bind = |source| SimError::Bind { switch: access.switch.to_owned(), address: bind, source };
    let key = match access.host_key {
        Some(key) => PrivateKey::from_openssh(key.expose_secret()),
        None => new_host_key(),
    };
    let key = key.map_err(bad_key)?;
    let host_key = PublicKey::new(key.public_key().key_data().clone(), "").to_openssh().map_err(bad_key)?;
    let authorized_key = access.authorized_key.map(|key| PublicKey::from_openssh(key.trim()));
    let login = Login {
        username: access.username.to_owned(),
        password: access.password.cloned(),
        authorized_key: authorized_key.transpose().map_err(bad_key)?,
    };

    let listener = TcpListener::bind(bind).await.map_err(bad_bind)?;
    let address = listener.local_addr().map_err(bad_bind)?;
    let mut methods = MethodSet::empty();
    if access.password.is_some() {
        methods.push(MethodKind::Password);
        methods.push(MethodKind::KeyboardInteractive);
    }
    if access.authorized_key.is_some() {
        methods.push(MethodKind::PublicKey);
    }
    let config = Config {
        keys: vec![key],
        methods,
        nodelay: true,
        inactivity_timeout: None,
        // A simulator has nothing to guard against guessing.
        auth_rejection_time: Duration::ZERO,
        ..Config::default()
    };
    let mut acceptor = Acceptor { login: Arc::new(login), service };
    let (ready, handle) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let server = acceptor.run_on_socket(Arc::new(config), &listener);
        if ready.send(server.handle()).is_ok()
            && let Err(error) = server.await
        {
            tracing::error!(%error, "a simulated switch stops listening");
        }
    });
    let gone = |_| bad_bind(std::io::ErrorKind::ConnectionAborted.into());
    Ok(Listener { address, host_key, handle: handle.await.map_err(gone)? })
}

struct Login {
    username: String,
    password: Option<SecretString>,
    authorized_key: Option<PublicKey>,
}

impl Login {
    fn password(&self, user: &str, given: &[u8]) -> Auth {
        let right = |password: &SecretString| password.expose_secret().as_bytes() == given;
        self.decide(user, self.password.as_ref().is_some_and(right))
    }

    fn decide(&self, user: &str, proven: bool) -> Auth {
        if proven && user == self.username { Auth::Accept } else { Auth::reject() }
    }
}

struct Acceptor {
    login: Arc<Login>,
    service: Arc<dyn Service>,
}

impl Server for Acceptor {
    type Handler = Connection;

    fn new_client(&mut self, _peer: Option<SocketAddr>) -> Connection {
        let (login, service) = (Arc::clone(&self.login), Arc::clone(&self.service));
        Connection { login, service, channels: HashMap::new() }
    }

    fn handle_session_error(&mut self, error: russh::Error) {
        tracing::debug!(%error, "simulated connection ended");
    }
}

struct Connection {
    login: Arc<Login>,
    service: Arc<dyn Service>,
    /// Open, and nothing asked for on them yet.
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, russh::Error> {
        Ok(self.login.password(user, password.as_bytes()))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        match response.map(|mut answers| answers.next()) {
            None if self.login.password.is_none() => Ok(Auth::reject()),
            None => Ok(Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: vec![("Password: ".into(), false)].into(),
            }),
            Some(answer) => Ok(self.login.password(user, &answer.unwrap_or_default())),
        }
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        let known = self.login.authorized_key.as_ref();
        let right = known.is_some_and(|known| known.key_data() == key.public_key.key_data());
        Ok(self.login.decide(user, right))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.serve(id, Ask::Subsystem(name.to_owned()), session)
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _pixels_wide: u32,
        _pixels_high: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(id)
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        self.serve(id, Ask::Shell, session)
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.serve(id, Ask::Exec(String::from_utf8_lossy(command).into_owned()), session)
    }
}

impl Connection {
    fn serve(&mut self, id: ChannelId, ask: Ask, session: &mut Session) -> Result<(), russh::Error> {
        let Some(channel) = self.channels.remove(&id) else { return session.channel_failure(id) };
        let serve = match self.service.serve(ask, channel) {
            Ok(serve) => serve,
            Err(channel) => {
                self.channels.insert(id, channel);
                return session.channel_failure(id);
            }
        };
        session.channel_success(id)?;
        let handle = session.handle();
        tokio::spawn(async move {
            if serve.await == After::Keep {
                return;
            }
            // As real servers do; a client that is gone already does not mind.
            if handle.disconnect(Disconnect::ByApplication, String::new(), String::new()).await.is_err() {
                tracing::debug!("simulated connection was gone already");
            }
        });
        Ok(())
    }
}
