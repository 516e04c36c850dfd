//! Who is at the other end: targets that are not believed or do not believe us, and servers that are no
//! gNMI targets. Each is told as what it is, before anything was changed, and no secret with it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt as _;
use mercury::sim::gnmi::{GnmiSpec, GnmiTls};
use mercury::sim::{FaultSpec, Switch, SwitchSpec, What};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tonic::service::Routes;
use tonic::transport::Server;

use super::{login, start};
use crate::config::write_with_mode;
use crate::peers::Authority;
use crate::service::{Site, update};

const HTML: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 14\r\n\r\n<html>hi</html>";
/// It must not be found anywhere.
const PASSWORD: &str = "wrong-horse-battery";

fn read(file: &std::path::Path) -> String {
    std::fs::read_to_string(file).unwrap()
}

struct Row {
    name: &'static str,
    /// The lines of `[device.gnmi]`, and of the device where they are others.
    gnmi: String,
    device: Option<String>,
    says: &'static [&'static str],
}

fn row(name: &'static str, gnmi: String, says: &'static [&'static str]) -> Row {
    Row { name, gnmi, device: None, says }
}

/// Asks for a change; where it does not end as the row says, why.
async fn problem(row: &Row) -> String {
    let site = Site::new().limits("request_timeout = \"2s\"\nlock_wait = \"500ms\"\n");
    write_with_mode(site.path("wrong"), &format!("{PASSWORD}\n"), 0o600);
    let device = row.device.clone().unwrap_or_else(|| login().to_owned());
    let site = site.device("leaf1", &format!("{device}[device.gnmi]\n{}", row.gnmi));
    let service = site.serve_at("debug").await;
    let answer = service.call("update_port", update("eth1", "access", 100, &[])).await;
    let Err(failure) = answer else { return format!("{answer:?}") };
    let told = format!("{} {}", failure.message, failure.data);
    let mut wrong: Vec<String> = row
        .says
        .iter()
        .filter(|words| !told.contains(**words))
        .map(|words| format!("no `{words}`"))
        .collect();
    if !told.contains("failed in phase connect") || !told.contains("nothing was changed") {
        wrong.push("another end".to_owned());
    }
    let journal = site.journal();
    if !journal.is_empty() {
        wrong.push(format!("the journal holds {journal}"));
    }
    let everything = format!("{told}{}", service.process.output());
    for secret in [PASSWORD, "PRIVATE KEY"] {
        if everything.contains(secret) {
            wrong.push(format!("it says {secret}"));
        }
    }
    if wrong.is_empty() { String::new() } else { format!("{}: {}: {told}", row.name, wrong.join(", ")) }
}

async fn none_is_wrong(rows: Vec<Row>) {
    let problems = futures_util::stream::iter(&rows).map(problem).buffer_unordered(4);
    let problems: Vec<String> =
        problems.filter(|found| std::future::ready(!found.is_empty())).collect().await;
    assert!(problems.is_empty(), "{} of {}:\n{}", problems.len(), rows.len(), problems.join("\n"));
}

async fn with_tls([certificate, key]: &[std::path::PathBuf; 2], client_ca: Option<&Authority>) -> Switch {
    let tls = GnmiTls {
        certificate: read(certificate),
        key: read(key).into(),
        client_ca: client_ca.map(|authority| read(&authority.file())),
    };
    start(GnmiSpec { tls: Some(tls), ..GnmiSpec::default() }, SwitchSpec::default()).await
}

fn port(switch: &Switch) -> String {
    format!("port = {}\n", super::port(switch))
}

fn quoted(key: &str, file: &Path) -> String {
    format!("{key} = {:?}\n", file.display().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_passwords() {
    let (authority, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let good = with_tls(&authority.issue("127.0.0.1"), None).await;
    let other = with_tls(&authority.issue("other.example"), None).await;
    let expired = with_tls(&authority.issue_expired("127.0.0.1"), None).await;
    let own = with_tls(&authority.issue_authority("127.0.0.1"), None).await;
    let mutual = with_tls(&authority.issue("127.0.0.1"), Some(&clients)).await;
    let open = start(GnmiSpec::default(), SwitchSpec::default()).await;
    let ca = quoted("ca", &authority.file());
    let shown = |[certificate, key]: [std::path::PathBuf; 2]| {
        quoted("client_certificate", &certificate) + &quoted("client_key", &key)
    };
    let wrong_password = || Some(login().replace("\"secret\"", "\"wrong\""));
    let refused = &["refused the login of user `admin` (who are you?; our password is from /"];
    none_is_wrong(vec![
        row(
            "an authority that we do not believe",
            port(&good) + &quoted("ca", &strangers.file()),
            &["TLS: invalid peer certificate: no CA that is believed has signed it; its certificate is signed by none"],
        ),
        row(
            "another name",
            port(&other) + &ca,
            &["TLS: invalid peer certificate: certificate not valid for name", "other.example"],
        ),
        row(
            "another name than the one we were told",
            port(&good) + &ca + "server_name = \"leaf1.example\"\n",
            &["certificate not valid for name", "leaf1.example"],
        ),
        row("expired", port(&expired) + &ca, &["TLS: invalid peer certificate: certificate expired"]),
        row(
            "another fingerprint",
            port(&good) + &format!("fingerprint = \"{}\"\n", "ab".repeat(32)),
            &["TLS: ", "its fingerprint is sha256:"],
        ),
        row(
            "a CA's own certificate",
            port(&own) + &ca,
            &["TLS: invalid peer certificate: it is a CA's own", "; `fingerprint` in place of `ca` pins it"],
        ),
        row("no certificate of ours", port(&mutual) + &ca, &["CertificateRequired"]),
        row(
            "a certificate that it does not believe",
            port(&mutual) + &ca + &shown(strangers.issue("mercury")),
            &["UnknownCA"],
        ),
        Row { device: wrong_password(), ..row("a wrong password", port(&good) + &ca, refused) },
        Row {
            device: wrong_password(),
            ..row("a wrong password without TLS", port(&open) + "plaintext = true\n", refused)
        },
        row("TLS where there is none", port(&open) + &ca, &["TLS: received corrupt message"]),
        row("no TLS where there is some", port(&good) + "plaintext = true\n", &["it speaks TLS"]),
    ])
    .await;
    for switch in [&good, &other, &expired, &mutual, &open] {
        assert_eq!((switch.commits(), switch.log()), (0, Vec::new()));
    }
}

/// A target that asks nobody for a password until something is to be changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_late() {
    let switch = start(GnmiSpec::default(), SwitchSpec::default()).await;
    switch.inject(FaultSpec::every("gnmi-cancel", What::Reject("unauthenticated".to_owned())));
    let gnmi = port(&switch) + "plaintext = true\n";
    none_is_wrong(vec![row("at the probe", gnmi, &["refused the login of user `admin`"])]).await;
    switch.clear_faults();
    switch.inject(FaultSpec::every("gnmi-capabilities", What::Reject("permission-denied".to_owned())));
    let gnmi = port(&switch) + "plaintext = true\n";
    none_is_wrong(vec![row("forbidden", gnmi, &["PERMISSION_DENIED: refused on purpose"])]).await;
}

/// A server that treats every connection so; it ends with the test.
async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Says this once it was spoken to, and hangs up.
async fn say(mut stream: impl AsyncRead + AsyncWrite + Unpin, text: &str) {
    let mut ignored = [0; 1024];
    if stream.read(&mut ignored).await.is_ok_and(|read| read > 0) {
        stream.write_all(text.as_bytes()).await.ok();
        stream.shutdown().await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_no_targets() {
    let authority = Authority::new();
    let ca = quoted("ca", &authority.file());
    let web = server(|stream| say(stream, HTML)).await;
    let ssh = server(|mut stream| async move {
        stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await.ok();
        say(stream, "Protocol mismatch.\r\n").await;
    })
    .await;
    let mute = server(|stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let [certificate, key] = authority.issue("127.0.0.1").map(|file| read(&file));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let secure_web = server(move |stream| {
        let accepted = acceptor.accept(stream);
        async move {
            if let Ok(stream) = accepted.await {
                say(stream, HTML).await;
            }
        }
    })
    .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let empty = listener.local_addr().unwrap();
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    tokio::spawn(Server::builder().add_routes(Routes::default()).serve_with_incoming(incoming));
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();

    let plaintext = |address: SocketAddr| format!("port = {}\nplaintext = true\n", address.port());
    let secure = |address: SocketAddr| format!("port = {}\n{ca}", address.port());
    none_is_wrong(vec![
        row("the web without TLS", plaintext(web), &["it speaks no HTTP/2", "HTTP/1.1 200 OK"]),
        row("the web, TLS asked for", secure(web), &["TLS: received corrupt message"]),
        row("the web with TLS", secure(secure_web), &["it speaks TLS and no HTTP/2"]),
        row("SSH", plaintext(ssh), &["it speaks no HTTP/2", "SSH-2.0-OpenSSH_9.6"]),
        row("SSH, TLS asked for", secure(ssh), &["TLS: received corrupt message"]),
        row("nothing said", plaintext(mute), &["deadline passed"]),
        row("nothing said, TLS asked for", secure(mute), &["deadline passed"]),
        row("gRPC without gNMI", plaintext(empty), &["UNIMPLEMENTED"]),
        row("nobody", plaintext(closed), &["Connection refused"]),
    ])
    .await;
}
