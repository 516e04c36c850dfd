//! `mercury call`: one call of a running service, from flags, a file or standard input.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::client::{Auth, Client, ClientError, Identity, Options, password};
use crate::config::item::parse_duration;
use crate::report;

/// Exit code for a change that may have been carried out although nothing says so.
const UNKNOWN: u8 = 3;

/// What to call, where, and as whom.
#[derive(Args)]
pub struct CallArgs {
    /// The method: update_port, reset_port, attach_port, detach_port, ...
    method: String,
    /// Where the service listens: http://HOST:PORT, https://HOST:PORT or unix:/PATH.
    #[arg(long, default_value = "http://127.0.0.1:8089")]
    url: String,
    /// A parameter. What reads as JSON is JSON, all else is a string: native_vlan=100,
    /// port_name=eth1; a string of digits takes quotes of its own: 'port_name="1"'.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    params: Vec<(String, Value)>,
    /// A file with the parameters as a JSON object, `-` for standard input; --param adds to it.
    #[arg(long = "params", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only plan: adds the parameter dry_run=true.
    #[arg(long)]
    dry_run: bool,
    /// The user for HTTP Basic or, with --digest, for HTTP Digest.
    #[arg(long, requires = "secret")]
    user: Option<String>,
    #[command(flatten)]
    secret: Secret,
    /// Answer a Digest challenge; never send the password itself.
    #[arg(long, requires = "user")]
    digest: bool,
    /// The CA certificates (PEM) to believe in place of the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The client certificate (PEM) for mutual TLS.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its key (PEM), readable by its owner alone.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// How long to wait for the answer.
    #[arg(long, default_value = "120s", value_parser = parse_duration)]
    timeout: Duration,
    /// Print the result, or the error, as one line of JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[group(id = "secret", multiple = false, requires = "user")]
struct Secret {
    /// The file with the password in one line, readable by its owner alone.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The environment variable with the password.
    #[arg(long, value_name = "VARIABLE")]
    password_env: Option<String>,
    /// The systemd credential with the password.
    #[arg(long, value_name = "NAME")]
    password_credential: Option<String>,
}

/// Calls, and prints the result. Errors before anything was sent are returned.
pub async fn run(args: CallArgs) -> Result<ExitCode> {
    let client = Client::new(&args.url, args.options()?)?;
    let params = args.params()?;
    match client.call(&args.method, params).await {
        Ok(result) => {
            let text = if args.json { result.to_string() } else { report::printable(&text(&result)?) };
            super::print(&(text + "\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(ClientError::Setup { what, why }) => bail!("{what}: {why}"),
        Err(error) => {
            if let (true, ClientError::Rpc(failure)) = (args.json, &error) {
                super::print(&(serde_json::to_string(failure)? + "\n"))?;
            }
            eprintln!("mercury: {}", report::printable(&in_words(&error)));
            Ok(if error.is_outcome_unknown() { ExitCode::from(UNKNOWN) } else { ExitCode::FAILURE })
        }
    }
}

impl CallArgs {
    fn options(&self) -> Result<Options> {
        let auth = match (&self.user, self.secret.read()?) {
            (Some(user), Some(password)) if self.digest => Auth::Digest { user: user.clone(), password },
            (Some(user), Some(password)) => Auth::Basic { user: user.clone(), password },
            _ => Auth::None,
        };
        let identity = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                Some(Identity { certificate_file: cert.clone(), key_file: key.clone() })
            }
            _ => None,
        };
        Ok(Options { auth, ca_file: self.ca.clone(), identity, timeout: self.timeout, ..Options::default() })
    }

    fn params(&self) -> Result<Value> {
        let mut params: Map<String, Value> = match &self.file {
            Some(file) => {
                let name = || format!("--params {}", file.display());
                serde_json::from_str(&read(file).with_context(name)?)
                    .with_context(|| format!("{}: not a JSON object", name()))?
            }
            None => Map::new(),
        };
        let dry_run = self.dry_run.then(|| ("dry_run".to_owned(), Value::Bool(true)));
        for (name, value) in self.params.iter().cloned().chain(dry_run) {
            if params.contains_key(&name) {
                bail!("the parameter {name} is given twice");
            }
            params.insert(name, value);
        }
        Ok(params.into())
    }
}

impl Secret {
    fn read(&self) -> Result<Option<SecretString>, ClientError> {
        match (&self.password_file, &self.password_env, &self.password_credential) {
            (Some(file), ..) => password::from_file(file).map(Some),
            (_, Some(variable), _) => password::from_env(variable).map(Some),
            (.., Some(name)) => password::from_systemd(name).map(Some),
            (None, None, None) => Ok(None),
        }
    }
}

fn read(file: &std::path::Path) -> std::io::Result<String> {
    if file.as_os_str() != "-" {
        return std::fs::read_to_string(file);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

fn parameter(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    if name.is_empty() {
        return Err("expected NAME=VALUE".to_owned());
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

/// A change as `mercury plan` shows it; any other result as indented JSON.
fn text(result: &Value) -> Result<String> {
    match report::text(result) {
        Some(text) => Ok(format!("outcome: {}\n{}", outcome(result), text.trim_end())),
        None => Ok(serde_json::to_string_pretty(result)?),
    }
}

fn outcome(change: &Value) -> &str {
    change["outcome"].as_str().unwrap_or_default()
}

fn in_words(error: &ClientError) -> String {
    match error {
        ClientError::Rpc(failure) => match failure.class() {
            class if !class.is_empty() => format!("error {} {class}: {}", failure.code, failure.message),
            _ => format!("error {}: {}", failure.code, failure.message),
        },
        ClientError::Unasked { used: "Basic", .. } => format!("{error}; try --digest"),
        ClientError::Unasked { .. } => format!("{error}; try without --digest"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_are_json_where_they_read_as_json() {
        for (text, value) in [
            ("v=100", json!(100)),
            ("v=null", json!(null)),
            ("v=[101, 102]", json!([101, 102])),
            ("v=eth1", json!("eth1")),
            ("v=00:1c:73:aa:bb:01", json!("00:1c:73:aa:bb:01")),
            ("v=\"1\"", json!("1")),
            ("v=a=b", json!("a=b")),
            ("v=", json!("")),
        ] {
            assert_eq!(parameter(text), Ok(("v".to_owned(), value)), "{text}");
        }
        assert!(parameter("v").is_err() && parameter("=1").is_err());
    }
}
