//! The rpcs of a verified attach over gNMI without Mercury: a client of tonic's, and no planning.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use mercury::gnmi::rpc::g_n_m_i_client::gNMIClient;
use mercury::gnmi::{
    Commit, CommitAction, CommitConfirm, CommitRequest, DataType, Duration, Encoding, Extension,
    ExtensionKind, GetRequest, SetRequest, TypedValue, Update, Value,
};
use serde_json::Value as Json;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tonic::transport::{Channel, Endpoint};

/// One connection.
pub struct GnmiHand<'r> {
    runtime: &'r Runtime,
    client: gNMIClient<Channel>,
}

impl<'r> GnmiHand<'r> {
    /// Connects with mutual TLS: the files are the authority's certificate, our own, and its key.
    pub fn open(runtime: &'r Runtime, port: u16, [authority, certificate, key]: [&Path; 3]) -> Self {
        let tls = TlsConnector::from(Arc::new(config(authority, certificate, key)));
        let connect = move || {
            let tls = tls.clone();
            async move {
                let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
                tcp.set_nodelay(true)?;
                let name = ServerName::try_from("127.0.0.1").expect("an address");
                Ok::<_, std::io::Error>(TokioIo::new(tls.connect(name, tcp).await?))
            }
        };
        let endpoint = Endpoint::try_from(format!("https://127.0.0.1:{port}")).expect("an address");
        let channel = endpoint.connect_with_connector(tower::service_fn(move |_| connect()));
        let client = gNMIClient::new(runtime.block_on(channel).expect("the target takes us"));
        Self { runtime, client }
    }

    /// Get, Set with a timer, Get, and the confirm.
    pub fn attach(&mut self, order: &Json) {
        let texts = |key: &str| order[key].as_array().expect("a list").clone();
        let path = |path: &Json| path.as_str().expect("text").parse().expect("a path");
        let get = GetRequest {
            path: texts("get").iter().map(path).collect(),
            data_type: DataType::Config.into(),
            encoding: Encoding::JsonIetf.into(),
            ..GetRequest::default()
        };
        let update = texts("update").into_iter().map(|one| Update {
            path: Some(path(&one[0])),
            val: Some(TypedValue { value: Some(Value::JsonIetf(one[1].to_string().into_bytes())) }),
            duplicates: 0,
        });
        let rollback_duration = Some(Duration { seconds: 61, nanos: 0 });
        let set = SetRequest {
            delete: texts("delete").iter().map(path).collect(),
            update: update.collect(),
            extension: vec![commit(CommitAction::Commit(CommitRequest { rollback_duration }))],
            ..SetRequest::default()
        };
        let confirm = SetRequest {
            extension: vec![commit(CommitAction::Confirm(CommitConfirm {}))],
            ..SetRequest::default()
        };
        self.runtime.block_on(async {
            self.client.get(get.clone()).await.expect("it is read");
            self.client.set(set).await.expect("it is set");
            self.client.get(get).await.expect("it is read back");
            self.client.set(confirm).await.expect("it is confirmed");
        });
    }
}

fn commit(action: CommitAction) -> Extension {
    let commit = Commit { id: "by-hand".to_owned(), action: Some(action) };
    Extension { kind: Some(ExtensionKind::Commit(commit)) }
}

fn config(authority: &Path, certificate: &Path, key: &Path) -> ClientConfig {
    let read = |file: &Path| fs::read(file).expect("the file is ours");
    let pem = |file: &Path| CertificateDer::from_pem_slice(&read(file)).expect("a certificate");
    let own = vec![pem(certificate)];
    let mut roots = RootCertStore::empty();
    roots.add(pem(authority)).expect("an authority");
    let key = PrivateKeyDer::from_pem_slice(&read(key)).expect("a key");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions of TLS");
    let config = builder.with_root_certificates(roots).with_client_auth_cert(own, key);
    let mut config = config.expect("a key that fits");
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}
