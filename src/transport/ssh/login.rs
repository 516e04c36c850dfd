//! Logging in, once the host key is known to be right.

use std::sync::Arc;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse as Interactive};
use russh::keys::{Algorithm, PrivateKeyWithHashAlg, decode_secret_key};
use russh::{MethodKind, MethodSet};
use secrecy::{ExposeSecret, SecretString};

use super::algorithms::rsa_hashes;
use super::{Place, Verifier};
use crate::device::{Credential, SshHabits};
use crate::transport::Cause;

/// Rounds of questions a keyboard-interactive login may take.
const MAX_ROUNDS: usize = 4;

impl Place<'_> {
    fn refused(&self, offered: impl ToString) -> Cause {
        Cause::Login {
            address: self.address.clone(),
            user: self.endpoint.username.clone(),
            offered: offered.to_string(),
        }
    }

    pub(super) async fn login(&self, handle: &mut Handle<Verifier>, habits: &SshHabits) -> Result<(), Cause> {
        match &self.endpoint.credential {
            Credential::Key(key) => self.login_with_key(handle, key, habits).await,
            Credential::Password(password) => self.login_with_password(handle, password).await,
            Credential::Certificate => Err(self.refused("it has neither key nor password")),
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
}

fn offers(handle: &Handle<Verifier>, methods: &MethodSet) -> String {
    let names: Vec<&str> = methods.iter().map(<&str>::from).collect();
    match names.is_empty() {
        true if handle.is_closed() => "it closed the connection".to_owned(),
        true => "it offers nothing else".to_owned(),
        false => format!("it offers {}", names.join(", ")),
    }
}
