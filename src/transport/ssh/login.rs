//! Logging in, once the host key is known to be right.

use std::sync::Arc;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse as Interactive};
use russh::keys::{Algorithm, PrivateKeyWithHashAlg, decode_secret_key};
use russh::{MethodKind, MethodSet};
use secrecy::{ExposeSecret, SecretString};

use super::{Place, Verifier};
use crate::algorithms::rsa_hashes;
use crate::device::{Credential, SshHabits};
use crate::transport::Cause;

/// Rounds of questions a keyboard-interactive login may take.
const MAX_ROUNDS: usize = 4;

impl Place<'_> {
    fn refused(&self, offered: impl ToString) -> Cause {
        Cause::Login {
            address: self.address.clone(),
            user: self.endpoint.username.clone(),
            offered: format!("{}{}", offered.to_string(), self.endpoint.told_credential()),
        }
    }

    pub(super) async fn login(&self, handle: &mut Handle<Verifier>, habits: &SshHabits) -> Result<(), Cause> {
        match &self.endpoint.credential {
            Credential::Key(key) => self.login_with_key(handle, key, habits).await,
            Credential::Password(_) if habits.none_first && self.is_let_in(handle).await? => Ok(()),
            Credential::Password(password) => self.login_with_password(handle, password).await,
            Credential::Certificate => Err(self.refused("it has neither key nor password")),
            Credential::NotLoaded => Err(self.refused("its credential was not loaded")),
        }
    }

    /// Whether the device lets everybody in (RFC 4252 5.2).
    async fn is_let_in(&self, handle: &mut Handle<Verifier>) -> Result<bool, Cause> {
        let answer = handle.authenticate_none(&self.endpoint.username).await;
        Ok(matches!(answer.map_err(|error| self.failed(error))?, AuthResult::Success))
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
}

fn offers(handle: &Handle<Verifier>, methods: &MethodSet) -> String {
    let names: Vec<&str> = methods.iter().map(<&str>::from).collect();
    match names.is_empty() {
        true if handle.is_closed() => "it closed the connection".to_owned(),
        true => "it offers nothing else".to_owned(),
        false => format!("it offers {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use russh::keys::{PrivateKey, key::safe_rng};
    use russh::server::{Auth, Config, Handler, run_stream};
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::super::connect;
    use super::*;
    use crate::device::{Endpoint, HostKey};

    /// A server that notes the methods it is asked by.
    #[derive(Clone)]
    struct Door {
        is_open: bool,
        tried: Arc<Mutex<Vec<&'static str>>>,
    }

    impl Door {
        fn answer(&self, method: &'static str, accepts: bool) -> Result<Auth, russh::Error> {
            self.tried.lock().unwrap().push(method);
            Ok(if accepts { Auth::Accept } else { Auth::reject() })
        }
    }

    impl Handler for Door {
        type Error = russh::Error;

        async fn auth_none(&mut self, _: &str) -> Result<Auth, russh::Error> {
            self.answer("none", self.is_open)
        }

        async fn auth_password(&mut self, _: &str, password: &str) -> Result<Auth, russh::Error> {
            self.answer("password", password == "hunter2")
        }
    }

    /// The methods tried at such a door, and whether it let us in.
    async fn tried(is_open: bool, none_first: bool, password: &str) -> (Vec<&'static str>, bool) {
        let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
        let host_key = HostKey::Pinned(key.public_key().to_openssh().unwrap());
        let config = Config { keys: vec![key], auth_rejection_time: Duration::ZERO, ..Config::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint {
            address: "127.0.0.1".to_owned(),
            port: listener.local_addr().unwrap().port(),
            username: "operator".to_owned(),
            credential: Credential::Password(password.into()),
            credential_from: String::new(),
            enable_secret: None,
            host_key,
            cli_port: None,
            gnmi: None,
        };
        let door = Door { is_open, tried: Arc::default() };
        let tried = door.tried.clone();
        let serving = async {
            let (socket, _) = listener.accept().await.unwrap();
            run_stream(Arc::new(config), socket, door).await.unwrap().await.ok();
        };
        let habits = SshHabits { none_first, ..SshHabits::default() };
        let deadline = Instant::now() + Duration::from_secs(20);
        let connecting = async { connect(&endpoint, &habits, deadline).await.is_ok() };
        let is_in = tokio::select! {
            is_in = connecting => is_in,
            () = async { serving.await; std::future::pending().await } => unreachable!(),
        };
        let tried = tried.lock().unwrap().clone();
        (tried, is_in)
    }

    #[tokio::test]
    async fn none_is_tried_only_where_the_terminal_asks() {
        assert_eq!(tried(true, true, "hunter2").await, (vec!["none"], true));
        assert_eq!(tried(false, true, "hunter2").await, (vec!["none", "password"], true));
        assert_eq!(tried(false, true, "wrong").await, (vec!["none", "password"], false));
        assert_eq!(tried(true, false, "hunter2").await, (vec!["password"], true));
        assert_eq!(tried(true, false, "wrong").await, (vec!["password"], false));
    }
}
